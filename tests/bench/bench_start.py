"""How long it takes to start: commands, `serve`, and the prompt of the REPL at a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import projects
import seeding
import trio
from rows import Aim, Curve, Found, Row, report

from aegis.project import Project

SHORT, LONG = 9, 3  # runs
TURNS = (0, 5_000, 50_000)
PROMPT = "›".encode()
_PROMPTED = """
from prompt_toolkit import PromptSession
PromptSession("agent › ").prompt()
"""


def prompted(words: Sequence[str], cwd: Path, environment: dict[str, str]) -> float:
    """Return the seconds until the prompt is drawn; what was started has been ended."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    began = time.perf_counter()
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment, start_new_session=True
    )
    os.close(slave)
    seen, asked = b"", False
    try:
        while PROMPT not in seen:
            ready, _, _ = select.select([master], [], [], 30)
            assert ready, f"no prompt after 30 s: {seen[-500:]!r}"
            seen += os.read(master, 65_536)
            if b"\x1b[6n" in seen and not asked:  # where is the cursor?
                asked = True
                os.write(master, b"\x1b[1;1R")
        took = time.perf_counter() - began
    finally:
        os.write(master, b"\x11")  # Ctrl+Q
        _drained(master, process)
        os.close(master)
    return took


def _drained(master: int, process: subprocess.Popen[bytes]) -> None:
    """Read what it still says until it has ended, and end it when it does not."""
    until = time.monotonic() + 10
    while process.poll() is None:
        if time.monotonic() > until:
            process.send_signal(signal.SIGTERM)
            until += 10
        if select.select([master], [], [], 0.05)[0]:
            try:
                os.read(master, 65_536)
            except OSError:  # it has closed its end
                process.wait(20)


def interleaved(*runs: Callable[[], float], times: int) -> list[float]:
    """Return the medians in ms of all, measured in turns so that a busy machine is unfair to none."""
    found = [[run() for run in runs] for _ in range(times)]
    return [statistics.median(column) * 1000 for column in zip(*found, strict=True)]


def served(place: projects.Place) -> float:
    """Return the seconds until a kernel answered; it has ended again."""
    began = time.perf_counter()
    with place.serving():
        return time.perf_counter() - began


def commands(place: projects.Place) -> Iterator[Row]:
    """Yield what commands take beside the bare interpreter."""
    bare = [sys.executable, "-c", "pass"]
    place.run([projects.AEGIS, "--help"])  # gathers the index
    time.sleep(2.1)  # an index younger than that is not kept
    place.run([projects.AEGIS, "--help"])

    def row(what: str, *words: str, aim: float | None = None) -> Row:
        ours, floor = interleaved(lambda: place.run([projects.AEGIS, *words]), lambda: place.run(bare), times=SHORT)
        return Row(f"{what} (floor: a bare interpreter)", ours, floor=floor, aims=[Aim(aim, "ratio")] if aim else [])

    yield row("aegis --version", "--version", aim=3)
    yield row("aegis --help", "--help", aim=6)
    serve, floor = interleaved(
        lambda: served(place), lambda: place.run([sys.executable, "-c", "from fastmcp import FastMCP"]), times=LONG
    )
    yield Row(
        "aegis serve says that it runs (floor: FastMCP is imported)", serve, floor=floor, aims=[Aim(1.3, "ratio")]
    )
    with place.serving() as serving:
        yield row("aegis sessions, kernel running", "sessions")
        yield Row("memory of aegis serve", serving.memory / 2**20, "MB")


async def spawned(serving: projects.Serving) -> str:
    """Spawn the agent whose tab it will be and return its id."""
    async with serving.client() as client:
        return str((await client.call("spawn", {"agent": "quick", "handle": "ann"}))["id"])


def worked(place: projects.Place, turns: int) -> None:
    """Give an agent so many turns: the events of a few, as they are on disk, again and again."""

    async def few(serving: projects.Serving) -> None:
        async with serving.client() as client:
            await client.call("spawn", {"agent": "quick", "handle": "ann"})
            for _ in range(20):
                await client.call("send", {"handle": "ann", "text": seeding.BODY, "wait": True})

    with place.serving() as serving:
        trio.run(few, serving)
    [transcript] = (Project(place.root).state / "sessions").glob("*.jsonl")
    said = transcript.read_bytes()
    transcript.write_bytes(said * (turns // 20 or 1))


def prompts() -> Iterator[Found]:
    """Yield how long a prompt takes, as the kernel and attached to one, by the turns of the last agent."""
    kernel, attached = {}, {}
    for turns in TURNS:
        with projects.folder() as folder:
            place = projects.Place(folder)
            if turns:
                worked(place, turns)
            size = f"{turns:,}"
            toolkit = [sys.executable, "-c", _PROMPTED]
            run = [partial(prompted, words, place.root, place.environment) for words in ([projects.AEGIS], toolkit)]
            kernel[size], floor = interleaved(*run, times=LONG)
            with place.serving() as serving:
                if not turns:
                    trio.run(spawned, serving)
                attached[size], floor = interleaved(*run, times=LONG)
    yield Row(
        "aegis at a terminal: prompt, as kernel (floor: prompt_toolkit)", kernel["0"], floor=floor, aims=[Aim(400)]
    )
    yield Row("  attached to a kernel", attached["0"], floor=floor, aims=[Aim(400)])
    yield Row("  attached, 50,000 turns before", attached["50,000"], floor=floor, aims=[Aim(400)])
    yield Curve("prompt, as kernel", "turns before", kernel)
    yield Curve("prompt, attached", "turns before", attached)


def main() -> Iterator[Found]:
    """Yield the rows and curves."""
    with projects.folder() as folder:
        yield from commands(projects.Place(folder))
    yield from prompts()


if __name__ == "__main__":
    report(main())
