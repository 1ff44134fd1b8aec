"""Events of one agent, from a real process into the transcript and three subscribers, beside split and parse alone.

Also: what another client's call takes meanwhile, and what agents that do nothing cost. `--profile` shows the time.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import trio
import trio.testing
from rows import Aim, Row, report

from aegis import Caller, Command, Process, hookimpl, verb
from aegis.app import Kernel, open_kernel
from aegis.driver import Probe, Profile, Seat
from aegis.events import Event, Text, TurnEnded
from aegis.plugins import GROUP
from aegis_cli.running import freeze_memory
from aegis_cli.socket_path import socket_of

LINES, IDLE = 150_000, 1_000
SAM = Caller("human", "bench")


class Line(msgspec.Struct):
    """What the bench's CLI says: `say` with a text, or `done`."""

    kind: str
    text: str = ""
    message: str = ""


_decode = msgspec.json.Decoder(Line).decode


class BenchSession:
    """A CLI that says a file."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, prompt: str) -> None:
        await self._process.write(b"go\n")

    async def receive(self) -> Sequence[Event]:
        lines = [_decode(line) for line in await self._process.lines()]
        return [Text(x.text, x.message) if x.kind == "say" else TurnEnded("completed") for x in lines]

    async def interrupt(self) -> None: ...


class IdleSession:
    """A session without a process."""

    async def send(self, prompt: str) -> None: ...

    async def receive(self) -> Sequence[Event]:
        await trio.sleep_forever()

    async def interrupt(self) -> None: ...


class BenchDriver:
    """`cat` as a CLI."""

    name, settings, resumes = "bench", Profile, False

    def __init__(self, file: Path) -> None:
        self._file = file

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[BenchSession]:
        argv = ["/bin/sh", "-c", f'read go; cat "{self._file}"; read more']
        async with seat.start(Command(argv, {"PATH": os.environ["PATH"]}, seat.cwd)) as process:
            yield BenchSession(process)

    def probe(self) -> Probe:
        return Probe(True)


class IdleDriver(BenchDriver):
    """Agents that do nothing."""

    name = "idle"

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[Any]:
        await trio.lowlevel.checkpoint()
        yield IdleSession()


class Plugin:
    """The drivers, and one verb to call meanwhile."""

    name = "bench"

    def __init__(self, file: Path) -> None:
        self._file = file

    @hookimpl
    def aegis_drivers(self) -> list[Any]:
        return [BenchDriver(self._file), IdleDriver(self._file)]

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Any]:
        return [self]

    @verb("ping")
    async def ping(self, caller: Caller, text: str) -> str:
        """Return the text."""
        return text


def write(file: Path) -> None:
    """Write the lines, each of one KB."""
    encode = msgspec.json.encode
    with file.open("wb") as out:
        for n in range(LINES):
            line = encode({"kind": "say", "text": "", "message": f"m{n // 50}"})
            text = "lorem ipsum dolor " * 60
            out.write(encode({"kind": "say", "text": text[: 1023 - len(line)], "message": f"m{n // 50}"}) + b"\n")
        out.write(encode({"kind": "done"}) + b"\n")


def floor(file: Path) -> float:
    """Split and parse the same lines; return how many a second."""
    data = file.read_bytes()
    started = time.perf_counter()
    for at in range(0, len(data), 262_144):
        for line in data[at : at + 262_144].split(b"\n"):
            try:
                _decode(line)
            except msgspec.DecodeError:  # cut by the block's edge
                continue
    return LINES / (time.perf_counter() - started)


async def calls(address: str) -> None:
    """Be another client: call a verb again and again across the control socket, and print how long each took, in ms."""
    from aegis_cli.socket_client import connected  # noqa: PLC0415 - only this process needs it

    async with connected(address) as client:
        while True:
            started = time.perf_counter()
            await client.call("ping", {"text": "x"})
            print((time.perf_counter() - started) * 1000, flush=True)
            await trio.sleep(0.005)


@asynccontextmanager
async def calling(address: Path) -> AsyncIterator[list[float]]:
    """Have another process call for as long as this is entered; the list fills with what each call took."""
    took: list[float] = []
    command = [sys.executable, __file__, "--caller", str(address)]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout

    async def read(task_status: trio.TaskStatus[None]) -> None:
        rest, ready = b"", False
        async for chunk in process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            took.extend(map(float, lines))
            if len(took) > 20 and not ready:
                ready = True
                took.clear()
                task_status.started()

    async with trio.open_nursery() as nursery:
        await nursery.start(read)
        yield took
        nursery.cancel_scope.cancel()
    process.kill()
    await process.wait()


async def watch(kernel: Kernel, seen: list[int]) -> None:
    """Look at every event, as a screen does."""
    count = 0
    with kernel.bus.subscribe() as news:
        async for batches in news:
            for _, events, _ in batches:
                count += sum(type(event) is Text for event in events)
            seen[0] = count


async def stream(root: Path, file: Path, profile: bool) -> dict[str, float]:
    """Run one turn of all the lines; return the figures."""
    others = {p.name: p.load() for p in entry_points(group=GROUP)}
    async with open_kernel(root, plugins={"bench": Plugin(file), **others}, environment={}) as kernel:
        freeze_memory()
        agent = await kernel.roster.spawn("bench", "talker")
        async with trio.open_nursery() as nursery:
            async with calling(socket_of(kernel.project)) as took:
                await trio.sleep(1.5)
                quiet = list(took)
            seen = [[0], [0], [0]]
            for one in seen:
                nursery.start_soon(watch, kernel, one)
            other = calling(socket_of(kernel.project))
            took = await other.__aenter__()
            profiler = cProfile.Profile()
            if profile:
                profiler.enable()
            cpu, started = time.process_time(), time.perf_counter()
            receipt = await kernel.post.deliver(kernel.post.envelope(str(SAM), agent.id, "go"))
            ended = await kernel.post.wait_turn(receipt.id)
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            profiler.disable()
            busy = list(took)
            await other.__aexit__(None, None, None)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert ended.outcome == "completed", ended
        if profile:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(18)
    stored = sum(1 for path in (root / ".aegis" / "state").glob("sessions/*.jsonl") for _ in path.open("rb"))
    return {
        "rate": LINES / seconds, "cpu": LINES / cpu, "quiet": statistics.median(quiet), "busy": statistics.median(busy),
        "worst": sorted(busy)[len(busy) * 99 // 100], "seen": min(one[0] for one in seen), "stored": stored,
    }  # fmt: skip


class Wakes(trio.abc.Instrument):
    """Counts how often the run woke up."""

    def __init__(self) -> None:
        self.count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


async def idle(root: Path, file: Path) -> dict[str, float]:
    """Spawn many agents that do nothing; return what each costs."""
    async with open_kernel(root, plugins={"bench": Plugin(file)}, environment={}) as kernel:
        for n in range(IDLE):
            await kernel.roster.spawn("idle", f"more-{n}")
        wakes = Wakes()
        trio.lowlevel.add_instrument(wakes)
        cpu = time.process_time()
        await trio.sleep(2)
        cpu, woken = time.process_time() - cpu, wakes.count
        trio.lowlevel.remove_instrument(wakes)
        return {"cpu": cpu, "wakes": woken}


def main(arguments: Sequence[str]) -> Iterator[Row]:
    """Yield the rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "lines"
        write(file)
        bare = max(floor(file) for _ in range(3))
        for part in ("stream", "idle"):
            (folder / part).mkdir()
        got = trio.run(stream, folder / "stream", file, "--profile" in arguments)
        assert got["seen"] == LINES, got
        what = "events of one agent in full flood, 3 watch (floor: JSON alone)"
        yield Row(what, got["rate"], "/s", 1000 / got["cpu"], bare, [Aim(90_000, least=True)], more=True)
        yield Row(
            "  another's call meanwhile (floor: in peace)", got["busy"], floor=got["quiet"], aims=[Aim(2, "ratio")]
        )
        yield Row("  99th percentile", got["worst"])
        cost = trio.run(idle, folder / "idle", file)
        yield Row(f"CPU of {IDLE:,} idle agents in 2 s", cost["cpu"] * 1e3)
        yield Row("  wakes", cost["wakes"], "")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--caller"]:
        with suppress(KeyboardInterrupt):
            trio.run(calls, sys.argv[2])
    else:
        report(main(sys.argv[1:]))
