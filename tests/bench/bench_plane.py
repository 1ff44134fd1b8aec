"""A call of `aegis_list_sessions` through the plane, beside one bare FastMCP tool on uvicorn.

`python tests/bench/bench_plane.py [legacy]`: clients that shake hands, and sessions.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import floors
import projects
import trio
from plane_caller import PlaneCaller
from rows import Aim, Row, report

SECONDS, ROUNDS, WARM = 1.0, 3, 10


async def load(url: str, secret: str, era: str, clients: int) -> None:
    """Call from so many connections at once and print how long the calls took."""
    took: list[float] = []
    callers = [PlaneCaller(url, secret, era) for _ in range(clients)]
    for caller in callers:
        await caller.hello()
        for _ in range(WARM):
            await caller.call(floors.TOOL)

    async def go(caller: PlaneCaller) -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            await caller.call(floors.TOOL)
            took.append(time.perf_counter() - began)

    end = time.perf_counter() + SECONDS
    async with trio.open_nursery() as nursery:
        for caller in callers:
            nursery.start_soon(go, caller)
    print(json.dumps({"p50": statistics.median(took) * 1000, "calls": len(took) + WARM * clients}))


def round_of(url: str, secret: str, era: str, clients: int, pid: int) -> dict[str, float]:
    """Return p50 and server CPU, in ms, of one round; the load is a process of its own."""
    before = projects.cpu_of(pid)
    job = [sys.executable, __file__, "load", url, secret, era, str(clients)]
    found = json.loads(subprocess.check_output(job))
    return {"p50": found["p50"], "cpu": (projects.cpu_of(pid) - before) / found["calls"] * 1000}


async def agent(serving: projects.Serving) -> projects.Secret:
    """Spawn an agent and return how it reaches the plane."""
    async with serving.client() as client:
        return serving.secret((await client.call("spawn", {"agent": "quick", "handle": "lucid-knuth"}))["id"])


def main(era: str) -> Iterator[Row]:
    """Yield a row for each number of clients: the medians of rounds that take turns."""
    with projects.folder() as folder, projects.Place(folder).serving() as serving, floors.fastmcp() as (url, pid):
        secret = trio.run(agent, serving)
        for clients in (1, 8, 32):
            ours, floor = [], []
            for _ in range(ROUNDS):
                ours.append(round_of(*secret, era, clients, serving.process.pid))
                floor.append(round_of(url, "", era, clients, pid))
            figure, cpu, least, least_cpu = (
                statistics.median(found[key] for found in side) for side in (ours, floor) for key in ("p50", "cpu")
            )
            what = f"plane: a tool call, {clients} client{'s'[: clients > 1]} ({era})"
            yield Row(what, figure, cpu=cpu, floor=least, aims=[Aim(1.0, "ratio")])
            yield Row("  the server's CPU for a call", cpu, floor=least_cpu)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["load", url, secret, era, clients]:
            trio.run(load, url, secret, era, int(clients))
        case eras:
            report(main(eras[0] if eras else "modern"))
