"""The kernel's CPU time for verbs, by what was there before: records of the ledger, agents.

A person calls each over the control socket. CPU time does not depend on what else the machine does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import projects
import seeding
import trio
from rows import Curve, Found, report

TIMES = 15
RECORDS = (100, 10_000, 100_000)
AGENTS = (10, 100, 1_000)
# By their names in the table, with what is called.
READ: dict[str, tuple[str, dict[str, Any]]] = {
    "sessions": ("sessions", {}),
    "message list": ("message list", {}),
    "message list --dead": ("message list", {"dead": True}),
    "task list": ("task list", {}),
    "queue show": ("queue show", {"queue": "still"}),
    "message inbox, empty": ("message inbox", {}),
    "read": ("read", {"handle": "ann"}),
}


async def measured(serving: projects.Serving) -> dict[str, float]:
    """Return the CPU ms of each verb."""
    async with serving.client() as client:
        for handle in ("ann", "bob"):
            await client.call("spawn", {"agent": "quick", "handle": handle})
        numbers = iter(range(10_000))

        async def handoff() -> None:
            await client.call("send", {"handle": "bob", "text": seeding.BODY})

        async def enqueue() -> None:
            await client.call("enqueue", {"queue": "still", "payload": seeding.BODY})

        async def spawn() -> None:
            await client.call("spawn", {"agent": "quick", "handle": f"new-{next(numbers)}"})

        closed = iter(range(10_000))

        async def close() -> None:
            await client.call("close", {"handle": f"new-{next(closed)}"})

        found = {
            "send": (await serving.timed(handoff, TIMES, warm=3, pause=0.02)).cpu,
            "enqueue": (await serving.timed(enqueue, TIMES, warm=3)).cpu,
            "spawn": (await serving.timed(spawn, TIMES, warm=3)).cpu,
            "close": (await serving.timed(close, TIMES, warm=3)).cpu,
        }
        for name, (verb, args) in READ.items():
            found[name] = (await serving.timed(lambda v=verb, a=args: client.call(v, a), TIMES, warm=3)).cpu
        return found


def place(folder: projects.Path, agents: int, records: int) -> projects.Place:
    """Return a project with so many agents, and so many records of other kinds."""
    made = projects.Place(folder, "queues: {one: {agent: quick}, still: {agent: quick, max_pending_by_agent: 100000}}")
    kinds = [
        (seeding.turns("human:bo"), records // 4),
        (seeding.finished("one"), records // 10),
        (seeding.pending("still"), records // 10),
        (seeding.closed_agents("quick"), records // 20),
        (iter([[seeding.paused("still")]]), 1),
        (seeding.agents("quick"), agents),
    ]
    seeding.write(made.root, *kinds)
    return made


def curves(by: str, sizes: tuple[int, ...]) -> Iterator[Curve]:
    """Yield a curve for each verb, and for the start."""
    found: dict[str, dict[str, float]] = {}
    for size in sizes:
        with projects.folder() as folder:
            made = place(folder, *((0, size) if by == "records" else (size, 0)))
            with made.serving() as serving:
                found.setdefault("aegis serve", {})[f"{size:,}"] = serving.cpu * 1000
                memory = serving.memory / 2**20
                for name, figure in trio.run(measured, serving).items():
                    found.setdefault(name, {})[f"{size:,}"] = figure
        found.setdefault("memory at the start", {})[f"{size:,}"] = memory
    for name, points in found.items():
        yield Curve(name, by, points, "MB" if name.startswith("memory") else "ms CPU")


def main() -> Iterator[Found]:
    """Yield the curves."""
    yield from curves("records", RECORDS)
    yield from curves("agents", AGENTS)


if __name__ == "__main__":
    report(main())
