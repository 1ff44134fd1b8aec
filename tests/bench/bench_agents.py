"""Agents beginning and ending: spawn of an idle one, close beside other processes, quit with a hundred."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress

import floors
import projects
import trio
from rows import Aim, Curve, Found, Row, report

TIMES, MANY, CLOSED = 40, 100, 20
STRANGERS = (0, 300, 1000)


async def spawn_and_close(serving: projects.Serving) -> tuple[list[float], list[float]]:
    """Return wall and CPU ms of a spawn and of a close."""
    spawned, closed = [], []
    async with serving.client() as client:
        for number in range(TIMES):
            marks = [(time.perf_counter(), serving.cpu)]
            for verb, args in (("spawn", {"agent": "quick"}), ("close", {})):
                await client.call(verb, {"handle": f"agent-{number}", **args})
                marks.append((time.perf_counter(), serving.cpu))
            spawned.append([(after - before) * 1000 for before, after in zip(marks[0], marks[1], strict=True)])
            closed.append([(after - before) * 1000 for before, after in zip(marks[1], marks[2], strict=True)])
    return tuple([statistics.median(column) for column in zip(*took[5:], strict=True)] for took in (spawned, closed))


async def memory(serving: projects.Serving) -> float:
    """Return the KB of one more idle agent; all of them stay."""
    async with serving.client() as client:
        await spawned(client, 10)
        before = serving.memory
        await spawned(client, MANY - 10, "more")
        return (serving.memory - before) / (MANY - 10) / 1024


async def spawned(client: projects.SocketClient, count: int, name: str = "agent") -> None:
    """Spawn so many agents, eight at a time."""
    limit = trio.CapacityLimiter(8)

    async def one(number: int) -> None:
        async with limit:
            await client.call("spawn", {"agent": "quick", "handle": f"{name}-{number}"})

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)


async def grown(serving: projects.Serving) -> None:
    """Have so many agents."""
    async with serving.client() as client:
        await spawned(client, MANY)


def quitting(serving: projects.Serving) -> tuple[float, float]:
    """Return the seconds from SIGTERM to the end, and the kernel's CPU time in ms, up to the last look at it."""
    began, cpu = time.perf_counter(), serving.cpu
    spent = 0.0
    serving.process.send_signal(signal.SIGTERM)
    while serving.process.poll() is None:
        with suppress(OSError):
            spent = serving.cpu - cpu
        time.sleep(0.002)
    return time.perf_counter() - began, spent * 1000


def main() -> Iterator[Found]:
    """Yield the rows and the curves."""
    closes, close_cpus, quits, quit_cpus = {}, {}, {}, {}
    for count in STRANGERS:
        with projects.folder() as folder, projects.strangers(count):
            place = projects.Place(folder)
            with place.serving() as serving:
                spawn, close = trio.run(spawn_and_close, serving)
                if not count:
                    kilobytes = trio.run(memory, serving)
                    floor, spawn_row = floors.turn_ms([place.cli], 1, TIMES), spawn
                else:
                    trio.run(grown, serving)
                closes[f"{count:,}"], close_cpus[f"{count:,}"] = close
                quits[f"{count:,}"], quit_cpus[f"{count:,}"] = quitting(serving)
    yield Row(
        "spawn of an idle agent (floor: the CLI alone, with a turn)",
        *spawn_row[:1],
        "ms",
        spawn_row[1],
        floor,
        [Aim(9)],
    )
    yield Row("close of one agent", closes["0"], "ms", close_cpus["0"], None, [Aim(0.5, "cpu")])
    yield Row("  beside 1,000 other processes", closes["1,000"], "ms", close_cpus["1,000"], None, [Aim(0.5, "cpu")])
    yield Row(f"quit with {MANY} agents", quits["0"], "s", quit_cpus["0"], aims=[Aim(0.3)])
    yield Row("  beside 1,000 other processes", quits["1,000"], "s", quit_cpus["1,000"], aims=[Aim(0.3)])
    yield Row("memory of one more idle agent", kilobytes, "KB")
    yield Curve("close", "other processes", closes)
    yield Curve("CPU of a close", "other processes", close_cpus)
    yield Curve(f"quit with {MANY} agents", "other processes", quits, "s")


if __name__ == "__main__":
    report(main())
