"""What a step of a workflow costs, beside one raw commit; a process for a run; and playing a long run again."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import floors
import projects
import trio
from rows import Row, report

from aegis import Caller, Kernel, open_kernel
from aegis.events import Notice
from aegis.plugins import GROUP
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


async def run_whole(kernel: Kernel, name: str, steps: int) -> float:
    """Return the milliseconds of a run, with its beginning and its end."""
    began = time.perf_counter()
    run = await begun(kernel, name, steps)
    await kernel.verbs.call(ANNA, "workflow wait", {"workflow_id": run})
    return (time.perf_counter() - began) * 1000


async def of_a_file(kernel: Kernel) -> list[Row]:
    """Return what a process of its own costs a run, and a step."""
    argv = [sys.executable, "-I", "-c", "pass"]
    bare, inside, outside = [], [], []
    for _ in range(RUNS):
        began = time.perf_counter()
        await trio.run_process(argv)
        bare.append((time.perf_counter() - began) * 1000)
        inside.append(await run_whole(kernel, "stepping", 0))
        outside.append(await run_whole(kernel, "of_file", 0))
    own = statistics.median(outside) - statistics.median(inside)
    whole = await run_whole(kernel, "of_file", STEPS)
    return [
        Row("workflow of a file: its process (floor: a bare interpreter)", own, floor=statistics.median(bare)),
        Row("  a step over its pipe", (whole - statistics.median(outside)) / STEPS),
    ]


async def measured(folder: Path) -> list[Row]:
    """Return what a step takes, what a process costs, and playing a long run again."""
    plugins = {point.name: point.load() for point in entry_points(group=GROUP)}
    Path(folder, "flow.py").write_text(FLOW)
    Path(folder, ".aegis.yaml").write_text("workflows: {files: [flow.py]}\n")
    commits = [floors.commit_ms(folder)]
    async with open_kernel(folder, plugins=plugins, environment={}, trusted=True) as kernel:
        cpu = time.process_time()
        await run_whole(kernel, "stepping", STEPS)
        cpu = (time.process_time() - cpu) / STEPS * 1000
        commits.append(floors.commit_ms(folder))  # before and after: the disk is not the same all the time
        floor = statistics.mean(commits)
        rows = [Row("workflow: a step (floor: one raw commit)", took["steps"] / STEPS * 1000, "ms", cpu, floor)]
        rows += await of_a_file(kernel)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked, kernel)
            run = await begun(kernel, "long", LONG)
    globals()["played"] = trio.Event()
    async with open_kernel(folder, plugins=plugins, environment={}, trusted=True) as kernel:
        opened = time.perf_counter()
        await played.wait()
        play, began = took["played"] - opened, time.perf_counter()
        count = sum(1 for _ in kernel.ledger.select("book='workflow' and key=? order by seq", run))
        read = time.perf_counter() - began
        what = f"workflow: {LONG:,} steps played again (floor: {count:,} records read)"
        return [*rows, Row(what, play, "s", floor=read)]


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        yield from trio.run(measured, folder)


if __name__ == "__main__":
    report(main())
