"""Floods by agents, and how long a person's commands take meanwhile, beside the same commands in peace.

10,000 mails a minute, 400 MB of mail to one busy agent, canvases with 10,000 sections: with the default limits.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import trio
from rows import Aim, Row, report

import aegis_canvas.plugin
import aegis_cli.plugin
import aegis_inbox.plugin
import aegis_limits.plugin
import aegis_records.plugin
from aegis import Caller, Kernel, Refused, open_kernel
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin
from aegis.testing.vouches import Vouches
from aegis_cli.running import freeze_memory
from aegis_cli.socket_path import socket_of

ANNA = Caller("human", "anna")
SECONDS = 10
COMMANDS = {
    "sessions": {}, "message list": {}, "message show": {"message": "nothing"}, "canvas list": {}, "agents": {},
    "send": {"handle": "calm", "text": "are you there?"}, "interrupt": {"handle": "calm"},
}  # fmt: skip


async def person(address: str) -> None:
    """Be a person at the control socket: give one command after the other, and print how long each took, in ms."""
    from aegis_cli.socket_client import connected  # noqa: PLC0415 - only this process needs it

    async with connected(address) as client:
        while True:
            for command, args in COMMANDS.items():
                began = time.perf_counter()
                with suppress(Refused):
                    await client.call(command, args)
                print(f"{command}={(time.perf_counter() - began) * 1000}", flush=True)
            await trio.sleep(0.05)


@asynccontextmanager
async def commanding(kernel: Kernel) -> AsyncIterator[dict[str, list[float]]]:
    """Have another process be that person for as long as this is entered."""
    took: dict[str, list[float]] = defaultdict(list)
    command = [sys.executable, __file__, "--person", str(socket_of(kernel.project))]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout

    ready = trio.Event()

    async def reading() -> None:
        rest = b""
        async for chunk in process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                name, _, figure = line.decode().partition("=")
                took[name].append(float(figure))
            if len(took) == len(COMMANDS) and not ready.is_set():
                took.clear()
                ready.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading)
        await ready.wait()
        yield took
        nursery.cancel_scope.cancel()
    process.kill()
    await process.wait()


async def again(call: Callable[[], Awaitable[Any]]) -> tuple[int, int]:
    """Call without a pause for some seconds; return how often it was done and how often refused."""
    done = refused = 0
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        try:
            await call()
            done += 1
        except Refused:
            refused += 1
            await trio.lowlevel.checkpoint()
    return done, refused


async def quiet(kernel: Kernel, agents: list[Agent], folder: Path) -> tuple[int, int]:
    """Do nothing."""
    await trio.sleep(SECONDS / 4)
    return 0, 0


async def mails(kernel: Kernel, agents: list[Agent], folder: Path) -> tuple[int, int]:
    """Have every agent write to every other as fast as it can."""
    counts: list[tuple[int, int]] = []

    async def one(sender: Agent, to: Agent) -> None:
        caller = kernel.roster.caller(sender)
        args = {"target_handle": to.handle, "context": "x" * 200}
        counts.append(await again(lambda: kernel.verbs.call(caller, "handoff", args)))

    async with trio.open_nursery() as nursery:
        for sender, to in zip(agents, [*agents[1:], agents[0]], strict=True):
            nursery.start_soon(one, sender, to)
    return sum(d for d, _ in counts), sum(r for _, r in counts)


async def unlimited_mails(kernel: Kernel, agents: list[Agent], folder: Path) -> tuple[int, int]:
    """Write 10,000 mails a minute past the limits of rates, as a plugin could."""
    done = refused = 0
    for n in range(10_000 * SECONDS // 60):
        to = agents[n % len(agents)]
        try:
            await kernel.post.deliver(kernel.post.envelope("agent:bob", to.id, "x" * 200))
            done += 1
        except Refused:
            refused += 1
        if n % 10 == 0:
            await trio.sleep(60 / 1_000)
    return done, refused


async def large(kernel: Kernel, agents: list[Agent], folder: Path) -> tuple[int, int]:
    """Send 400 MB to one agent in pieces of 199 kB and of a megabyte."""
    done = refused = 0
    for n in range(1_300):
        body = "z" * (999_000 if n < 150 else 199_000)
        try:
            await kernel.post.deliver(kernel.post.envelope("agent:bob", agents[0].id, body))
            done += 1
        except Refused:
            refused += 1
        await trio.lowlevel.checkpoint()
    return done, refused


async def sections(kernel: Kernel, agents: list[Agent], folder: Path) -> tuple[int, int]:
    """Have an agent write new sections to a canvas as fast as it can, until it is full and after that."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "big.md").write_text("# Big\n\n" + "".join(f"## part {n}\n\nwords\n\n" for n in range(900)))
    caller = kernel.roster.caller(agents[0])
    await kernel.verbs.call(ANNA, "canvas open", {"name": "big", "file": "docs/big.md"})
    await kernel.verbs.call(kernel.roster.caller(agents[1]), "canvas subscribe", {"name": "big"})
    number = iter(range(1_000_000))

    async def write() -> None:
        n = next(number)
        await kernel.verbs.call(caller, "canvas write-section", {"name": "big", "section": f"new {n}", "content": "x"})

    return await again(write)


async def edits(kernel: Kernel, agents: list[Agent], folder: Path) -> tuple[int, int]:
    """Have an editor make an open canvas a file of 10,000 sections, again and again, while somebody reads it."""
    (folder / "docs").mkdir(exist_ok=True)
    big = folder / "docs" / "big.md"
    big.write_text("# Big\n\n## one\n\nwords\n")
    await kernel.verbs.call(ANNA, "canvas open", {"name": "big", "file": "docs/big.md"})
    await kernel.verbs.call(kernel.roster.caller(agents[1]), "canvas subscribe", {"name": "big"})
    number = iter(range(1_000_000))

    async def edit() -> None:
        n = next(number)
        big.write_text("# Big\n\n" + "".join(f"## part {m}\n\nwords {n}\n\n" for m in range(10_000)))
        await kernel.verbs.call(ANNA, "canvas read", {"name": "big"})

    return await again(edit)


async def run(folder: Path, flood: Any) -> list[Row]:
    """Run one flood and return how long commands took meanwhile."""
    (folder / ".aegis.yaml").write_text("agents: {echo: {provider: echo, permission: write}}\n")
    echo = EchoPlugin()
    plugins = {
        "echo": echo, "vouches": Vouches(), "inbox": aegis_inbox.plugin, "limits": aegis_limits.plugin,
        "canvas": aegis_canvas.plugin, "records": aegis_records.plugin, "cli": aegis_cli.plugin,
    }  # fmt: skip
    async with open_kernel(folder, plugins=plugins, environment={}) as kernel:
        freeze_memory()
        await kernel.roster.spawn("echo", "calm")
        agents = [await kernel.roster.spawn("echo", f"agent-{n}") for n in range(15)]
        if flood is large:
            echo.driver.sessions[agents[0].id].gate = trio.Event()  # it is busy
        before = psutil.Process().memory_info().rss
        async with commanding(kernel) as took:
            done, refused = await flood(kernel, agents, folder)
            worst = {name: max(figures) for name, figures in took.items() if figures}
            all_ = sorted(f for figures in took.values() for f in figures)
        memory = (psutil.Process().memory_info().rss - before) / 2**20
    slowest = max(worst, key=worst.__getitem__)
    what = f"flood of {flood.__name__.replace('_', ' ')} ({done:,} done, {refused:,} refused)"
    return [
        Row(f"{what}: a person's command", all_[len(all_) // 2]),
        Row(f"  the slowest one ({slowest})", worst[slowest], aims=[Aim(1000)]),
        Row("  more memory", memory, "MB"),
    ]


def main() -> Iterator[Row]:
    """Yield the rows of each flood."""
    for flood in (quiet, mails, unlimited_mails, large, sections, edits):
        with tempfile.TemporaryDirectory() as name:
            yield from trio.run(run, Path(name), flood)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--person"]:
        with suppress(KeyboardInterrupt):
            trio.run(person, sys.argv[2])
    else:
        report(main())
