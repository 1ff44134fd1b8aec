"""Twenty agents that each say a hundred pieces of text a second: the kernel's CPU, beside reading that in bulk."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import projects
import trio
from rows import Aim, Row, report

AGENTS, RATE, SECONDS, SIZE = 20, 100, 5, 60


async def share(serving: projects.Serving) -> tuple[float, float]:
    """Return the kernel's share of a core in percent, and its CPU time for one piece in us."""
    async with serving.client() as client:
        for number in range(AGENTS):
            await client.call("spawn", {"agent": "talker", "handle": f"agent-{number}"})
        for number in range(AGENTS):
            await client.call("send", {"handle": f"agent-{number}", "text": "talk"})
        await trio.sleep(1)
        cpu, began = serving.cpu, time.perf_counter()
        await trio.sleep(SECONDS)
        seconds, spent = time.perf_counter() - began, serving.cpu - cpu
    return spent / seconds * 100, spent / (AGENTS * RATE * seconds) * 1e6


def bulk() -> float:
    """Return the us of parsing one such piece, when many come at once."""
    piece = {
        "type": "assistant",
        "message": {"id": "m1", "role": "assistant", "content": [{"type": "text", "text": "w" * SIZE}]},
        "parent_tool_use_id": None, "session_id": "quick",
    }  # fmt: skip
    text = b"\n".join([msgspec.json.encode(piece)] * 20_000)
    cpu = time.process_time()
    for line in text.split(b"\n"):
        msgspec.json.decode(line)
    return (time.process_time() - cpu) / 20_000 * 1e6


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        flags = ("--chunks", (SECONDS + 20) * RATE, "--pause", 1000 // RATE, "--size", SIZE)
        with projects.Place(folder, talker=flags).serving() as serving:
            percent, each = trio.run(share, serving)
    yield Row(f"{AGENTS} agents, {RATE} pieces of text a second each: the kernel's CPU", percent, "%", aims=[Aim(15)])
    yield Row("  for one piece (floor: parsing alone, in bulk)", each, "us", floor=bulk())


if __name__ == "__main__":
    report(main())
