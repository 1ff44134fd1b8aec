"""A thousand live agents in one kernel, each a process: memory, latency, idling, and quitting; at three sizes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import floors
import projects
import trio
from bench_agents import quitting, spawned
from plane_caller import PlaneCaller
from rows import Curve, Found, Row, report

SIZES = (100, 300, 1_000)
TIMES, IDLE = 40, 4.0
GROWING = ("quit", "memory of the kernel", "CPU of doing nothing")  # with every agent, of course


async def crowd(serving: projects.Serving, count: int, stamps: Path) -> dict[str, tuple[float, str]]:
    """Return figures, each with its unit, with so many agents alive."""
    found: dict[str, tuple[float, str]] = {}
    async with serving.client() as client:
        ann = await client.call("spawn", {"agent": "quick", "handle": "ann"})
        await client.call("spawn", {"agent": "stamping", "handle": "bob"})
        memory, began, cpu = serving.memory, time.perf_counter(), serving.cpu
        await spawned(client, count - 2)
        found["spawn, eight at a time"] = (time.perf_counter() - began) / count * 1000, "ms"
        found["CPU of a spawn"] = (serving.cpu - cpu) / count * 1000, "ms"
        found["memory of an agent"] = (serving.memory - memory) / count / 1024, "KB"
        await trio.sleep(12)  # what a spawn puts off has been done
        cpu, began = serving.cpu, time.perf_counter()
        await trio.sleep(IDLE)
        found["CPU of doing nothing, of a core"] = (serving.cpu - cpu) / (time.perf_counter() - began) * 100, "%"
        caller, marks = PlaneCaller(*serving.secret(ann["id"])), list[int]()

        async def handoff() -> None:
            marks.append(time.monotonic_ns())
            await caller.call("aegis_handoff", target_handle="bob", context="look")

        async def heard() -> None:
            while not stamps.exists() or stamps.read_bytes().count(b"\n") < len(marks):  # noqa: ASYNC110 - a file
                await trio.sleep(0.001)

        handed = await serving.timed(handoff, TIMES, pause=0.02, after=heard)
        stdin = sorted((int(r) - b) / 1e6 for r, b in zip(stamps.read_text().split(), marks, strict=True))
        found["handoff, call to stdin"] = stdin[len(stdin) // 2], "ms"
        found["CPU of a handoff with its turn"] = handed.cpu, "ms"
        listed = await serving.timed(lambda: client.call("sessions"), TIMES)
        found["sessions"], found["CPU of sessions"] = (listed.p50, "ms"), (listed.cpu, "ms")
        numbers = iter(range(count))

        async def close() -> None:
            await client.call("close", {"handle": f"agent-{next(numbers)}"})

        closed = await serving.timed(close, TIMES)
        found["close"], found["CPU of a close"] = (closed.p50, "ms"), (closed.cpu, "ms")

        async def ask(number: int) -> None:
            await client.call("send", {"handle": f"agent-{number}", "text": "go", "wait": True})

        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(10 + TIMES, count - 2):
                nursery.start_soon(ask, number)
        found["a turn, all of them at once"] = (time.perf_counter() - began) / (count - 12 - TIMES) * 1000, "ms"
        found["memory of the kernel"] = serving.memory / 2**20, "MB"
    return found


def main() -> Iterator[Found]:
    """Yield rows at the largest size, and the curves."""
    curves: dict[str, tuple[str, dict[str, float]]] = {}
    for size in SIZES:
        with projects.folder() as folder:
            stamps = folder / "stamps"
            place = projects.Place(folder, stamping=("--stamps", str(stamps)))
            with place.serving() as serving:
                found = trio.run(crowd, serving, size, stamps)
                seconds, cpu = quitting(serving)
                found["quit, all of them alive"] = seconds, "s"
                found["CPU of quitting, for each"] = cpu / size, "ms"
            if size == max(SIZES):
                alone = floors.turn_ms([place.cli], 8, 200)
        for name, (figure, unit) in found.items():
            curves.setdefault(name, (unit, {}))[1][f"{size:,}"] = figure
    what = f"{max(SIZES):,} agents: spawn of each (floor: the CLI alone, with a turn)"
    yield Row(what, *_last(curves, "spawn"), floor=alone)
    for name in ("handoff", "sessions", "quit", "memory of an agent", "memory of the kernel"):
        whole = next(key for key in curves if key.startswith(name))
        yield Row(f"  {whole}", *_last(curves, name))
    for name, (unit, points) in curves.items():
        yield Curve(name, "live agents", points, unit, flat=not name.startswith(GROWING))


def _last(curves: dict[str, tuple[str, dict[str, float]]], name: str) -> tuple[float, str]:
    unit, points = next(curve for key, curve in curves.items() if key.startswith(name))
    return points[f"{max(SIZES):,}"], unit


if __name__ == "__main__":
    report(main())
