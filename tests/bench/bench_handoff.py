"""Handing over, durably, over the plane: from the call to the idle recipient's stdin and to the receipt; and enqueues.

The recipient is a program in C that notes when it has read its prompt; all read the same monotonic clock.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import floors
import projects
import seeding
import trio
from plane_caller import PlaneCaller
from rows import Aim, Row, report

CALLS, WARM = 150, 20
PAUSE = 0.02  # seconds between calls, in which the recipient's turn ends
BODY = "please review " + "x" * 400


async def measured(serving: projects.Serving, stamps: Path) -> tuple[float, projects.Timing, projects.Timing]:
    """Return the ms from call to stdin, and what a handoff and an enqueue take."""
    async with serving.client() as client:
        ann = await client.call("spawn", {"agent": "quick", "handle": "ann"})
        await client.call("spawn", {"agent": "stamping", "handle": "bob"})
        await client.call("queue pause", {"queue": "still"})
        caller = PlaneCaller(*serving.secret(ann["id"]))
        began: list[int] = []

        async def handoff() -> None:
            began.append(time.monotonic_ns())
            await caller.call("aegis_handoff", target_handle="bob", context=BODY)

        async def read_by_bob() -> None:
            while not stamps.exists() or stamps.read_bytes().count(b"\n") < len(began):  # noqa: ASYNC110 - a file
                await trio.sleep(0.001)

        handed = await serving.timed(handoff, CALLS, warm=WARM, pause=PAUSE, after=read_by_bob)
        read = [int(line) for line in stamps.read_text().split()]
        assert len(read) == len(began), "each handoff is a turn of its own"
        to_stdin = statistics.median((r - b) / 1e6 for r, b in list(zip(read, began, strict=True))[WARM:])

        async def enqueue() -> None:
            await caller.call("aegis_enqueue", queue="still", payload=seeding.BODY)

        return to_stdin, handed, await serving.timed(enqueue, CALLS, warm=WARM)


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        stamps = folder / "stamps"
        place = projects.Place(
            folder, "queues: {still: {agent: quick, max_pending_by_agent: 100000}}", stamping=("--stamps", str(stamps))
        )
        floor = floors.call_ms() + floors.commit_ms(folder)
        with place.serving() as serving:
            to_stdin, handed, enqueued = trio.run(measured, serving, stamps)
    yield Row("handoff over the plane: call to the idle recipient's stdin", to_stdin, "ms", handed.cpu, floor, [Aim(2)])
    yield Row("  call to receipt (CPU: with the turn it begins)", handed.p50, "ms", handed.cpu, floor)
    yield Row("enqueue over the plane", enqueued.p50, "ms", enqueued.cpu, floor, [Aim(2)])


if __name__ == "__main__":
    report(main())
