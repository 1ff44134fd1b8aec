"""What the engine adds to a step, beside one durable append; and playing a long run again."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

import aegis_workflow.plugin
from aegis import Caller, Kernel, open_kernel
from aegis.events import Notice
from aegis_workflow.api import workflow

STEPS, LONG = 400, 10_000
ANNA = Caller("human", "anna")
took: dict[str, float] = {}
played = trio.Event()


@workflow
async def stepping(engine: Any, steps: int) -> int:
    """Take so many steps that do nothing but be kept."""
    began = time.perf_counter()
    for number in range(steps):
        await engine.checkpoint("step", number)
    took["steps"] = time.perf_counter() - began
    return steps


@workflow
async def long(engine: Any, steps: int) -> int:
    """Take so many steps side by side, a hundred at a time, and then wait for a person."""
    for _ in range(steps // 100):
        await engine.parallel([engine.now() for _ in range(100)])
    took["played"] = time.perf_counter()
    played.set()
    await engine.ask_human("go on?")
    return steps


async def begun(kernel: Kernel, name: str, steps: int) -> str:
    """Begin a run and return its id."""
    return str((await kernel.verbs.call(ANNA, "workflow run", {"name": name, "kwargs": {"steps": steps}})).workflow_id)


async def asked(kernel: Kernel) -> None:
    """Wait until a run asks somebody."""
    with kernel.bus.subscribe() as news:
        async for batches in news:
            if any(
                isinstance(event, Notice) and " asks: " in event.text for batch in batches for event in batch.events
            ):
                return


async def appended(kernel: Kernel) -> list[float]:
    """Return the seconds of durable appends, one after the other."""
    book, seconds = kernel.ledger.book("bench"), []
    for number in range(STEPS):
        began = time.perf_counter()
        await book.append("step", "x", number=number)
        seconds.append(time.perf_counter() - began)
    return seconds


async def main() -> None:
    """Print the seconds a step takes beside one append, and of playing a long run again."""
    plugins = {"workflow": aegis_workflow.plugin}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        async with open_kernel(Path(folder), plugins=plugins) as kernel:
            appends = await appended(kernel)
            run = await begun(kernel, "stepping", STEPS)
            await kernel.verbs.call(ANNA, "workflow wait", {"workflow_id": run})
            appends += await appended(kernel)  # before and after: the disk is not the same all the time
            step, floor = took["steps"] / STEPS * 1000, statistics.mean(appends) * 1000
            print(f"a step: {step:.2f} ms / one durable append {floor:.2f} ms, {step / floor:.2f}x")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(asked, kernel)
                run = await begun(kernel, "long", LONG)
        globals()["played"] = trio.Event()
        began = time.perf_counter()
        async with open_kernel(Path(folder), plugins=plugins) as kernel:
            opened = time.perf_counter()
            await played.wait()
            whole, play = took["played"] - began, took["played"] - opened
            print(f"opening a project, playing a run of {LONG:,} steps: {whole:.2f} s, of which playing {play:.2f} s")
            began = time.perf_counter()
            count = sum(1 for _ in kernel.ledger.select("book='workflow' and key=? order by seq", run))
            floor = time.perf_counter() - began
            print(f"  beside reading its {count:,} records: {floor:.2f} s, {play / floor:.1f}x")


if __name__ == "__main__":
    trio.run(main)
