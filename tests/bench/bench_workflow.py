"""What the engine adds to a step, beside one durable append; and playing a long run again."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

import aegis_workflow.plugin
from aegis import Caller, Kernel, open_kernel
from aegis.events import Notice
from aegis_workflow.api import workflow

STEPS, LONG, RUNS = 400, 10_000, 7
FLOW = """
from aegis_workflow.api import workflow


@workflow
async def of_file(engine, steps: int):
    for number in range(steps):
        await engine.checkpoint("step", number)
"""
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


async def run_whole(kernel: Kernel, name: str, steps: int) -> float:
    """Return the milliseconds of a run, with its beginning and its end."""
    began = time.perf_counter()
    run = await begun(kernel, name, steps)
    await kernel.verbs.call(ANNA, "workflow wait", {"workflow_id": run})
    return (time.perf_counter() - began) * 1000


async def of_a_file(kernel: Kernel) -> None:
    """Print what a process of its own costs a run, and a step."""
    argv = [sys.executable, "-I", "-c", "pass"]
    bare, inside, outside = [], [], []
    for _ in range(RUNS):
        began = time.perf_counter()
        await trio.run_process(argv)
        bare.append((time.perf_counter() - began) * 1000)
        inside.append(await run_whole(kernel, "stepping", 0))
        outside.append(await run_whole(kernel, "of_file", 0))
    own, floor = statistics.median(outside) - statistics.median(inside), statistics.median(bare)
    print(f"a process for a run: {own:.0f} ms / one bare interpreter {floor:.0f} ms, {own / floor:.1f}x")
    whole = await run_whole(kernel, "of_file", STEPS)
    step = (whole - statistics.median(outside)) / STEPS
    print(f"  and a step over its pipe: {step:.2f} ms")


async def main() -> None:
    """Print the seconds a step takes beside one append, what a process costs, and of playing a long run again."""
    plugins = {"workflow": aegis_workflow.plugin}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        Path(folder, "flow.py").write_text(FLOW)
        Path(folder, ".aegis.yaml").write_text("workflows: {files: [flow.py]}\n")
        async with open_kernel(Path(folder), plugins=plugins) as kernel:
            appends = await appended(kernel)
            run = await begun(kernel, "stepping", STEPS)
            await kernel.verbs.call(ANNA, "workflow wait", {"workflow_id": run})
            appends += await appended(kernel)  # before and after: the disk is not the same all the time
            step, floor = took["steps"] / STEPS * 1000, statistics.mean(appends) * 1000
            print(f"a step: {step:.2f} ms / one durable append {floor:.2f} ms, {step / floor:.2f}x")
            await of_a_file(kernel)
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
