"""Queues: what a task costs beside the bare process of its agent, and the memory of one that waits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import floors
import projects
import seeding
import trio
from rows import Aim, Row, report

PARALLEL, TASKS, ROUNDS = 8, 48, 4
SPIN = 6  # ms of CPU time that the second agent needs to start, as a light CLI does
PENDING = 5_000


async def tasks(serving: projects.Serving, queue: str) -> tuple[float, float]:
    """Return wall and CPU ms of a task, so many at a time."""
    async with serving.client() as client:

        async def task() -> None:
            made = await client.call("enqueue", {"queue": queue, "payload": seeding.BODY})
            await client.call("task wait", {"task_id": made["task_id"]})

        began, cpu = time.perf_counter(), serving.cpu
        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(task)
        seconds = time.perf_counter() - began
        await trio.sleep(projects.SETTLED)
        return seconds / TASKS * 1000, (serving.cpu - cpu) / TASKS * 1000


async def memory_of_pending(serving: projects.Serving) -> float:
    """Return the KB that one more pending task takes in the kernel."""
    async with serving.client() as client:

        async def put(count: int) -> None:
            for _ in range(count):
                await client.call("enqueue", {"queue": "still", "payload": seeding.BODY})

        await client.call("queue pause", {"queue": "still"})
        await put(1_000)
        before = serving.memory
        await put(PENDING)
        return (serving.memory - before) / PENDING / 1024


def task_rows(folder: Path) -> Iterator[Row]:
    """Yield what a task costs, with an agent that costs nothing and with one that is as light as CLIs get."""
    place = projects.Place(
        folder,
        f"queues:\n  fast: {{agent: quick, max_parallel: {PARALLEL}}}\n"
        f"  light: {{agent: light, max_parallel: {PARALLEL}}}\n",
        light=("--spin", SPIN),
    )
    with place.serving() as serving:
        for queue, flags, what in (
            ("light", ["--spin", str(SPIN)], f"queue task, {PARALLEL} at a time, of an agent with {SPIN} ms of CPU"),
            ("fast", [], "  of an agent that costs nothing"),
        ):
            trio.run(tasks, serving, queue)  # the first ones fill caches
            bare, ours = [], []
            for _ in range(ROUNDS):
                bare.append(floors.turn_ms([place.cli, *flags], PARALLEL, TASKS))
                ours.append(trio.run(tasks, serving, queue))
            wall, cpu = (statistics.median(column) for column in zip(*ours, strict=True))
            aims = [Aim(1.3, "ratio"), Aim(2.5, "cpu")] if queue == "light" else []
            yield Row(what, wall, "ms", cpu, statistics.median(bare), aims)


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        yield from task_rows(folder)
    with projects.folder() as folder:
        with projects.Place(folder, "queues: {still: {agent: quick, max_pending: 100000}}").serving() as serving:
            kilobytes = trio.run(memory_of_pending, serving)
        yield Row("memory of one more pending task (300 characters)", kilobytes, "KB", aims=[Aim(0.5)])


if __name__ == "__main__":
    report(main())
