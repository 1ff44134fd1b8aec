"""A broadcast to twenty idle agents: the call, the last stdin, and all answers; beside the same turns of bare CLIs."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import projects
import trio
from rows import Aim, Row, report

MEMBERS, ROUNDS = 20, 12


async def rounds(serving: projects.Serving, stamps: Path) -> list[tuple[float, float, float, float]]:
    """Return the ms of the call, to the last stdin and to all answers, and the CPU ms of a round."""
    found = []
    async with serving.client() as client:
        await client.call("group spawn-mixed", {"group": "all", "profiles": ["stamping"] * MEMBERS})
        for _ in range(ROUNDS + 2):
            await trio.sleep(projects.SETTLED)
            stamps.write_text("")
            mono, began, cpu = time.monotonic_ns(), time.perf_counter(), serving.cpu
            asked = await client.call("group broadcast", {"group": "all", "objective": "look"})
            called = time.perf_counter() - began
            done = await client.call("group wait-all", {"group": "all", "broadcast_id": asked["broadcast_id"]})
            answered = time.perf_counter() - began
            assert len(done["order"]) == MEMBERS, done
            last = max(map(int, stamps.read_text().split()))
            await trio.sleep(projects.SETTLED)
            found.append((called * 1e3, (last - mono) / 1e6, answered * 1e3, (serving.cpu - cpu) * 1e3))
    return found[2:]


def bare(cli: str) -> float:
    """Return the ms in which as many CLIs that run already each answer a prompt."""
    hello = b'{"type":"control_request","request_id":"1","request":{"subtype":"initialize"}}\n'
    prompt = json.dumps({"type": "user", "uuid": "1"}, separators=(",", ":")).encode() + b"\n"
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen([cli], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}))
            for _ in range(MEMBERS)
        ]
        for process in running:
            process.stdin.write(hello)
            process.stdin.flush()
            process.stdout.readline()
        began = time.perf_counter()
        for process in running:
            process.stdin.write(prompt)
            process.stdin.flush()
        for process in running:
            while b'"state":"completed"' not in process.stdout.readline():
                pass
        took = (time.perf_counter() - began) * 1000
        for process in running:
            process.stdin.close()
        return took


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        stamps = folder / "stamps"
        place = projects.Place(folder, stamping=("--stamps", str(stamps)))
        floor = statistics.median(bare(place.cli) for _ in range(ROUNDS))
        with place.serving() as serving:
            found = trio.run(rounds, serving, stamps)
    call, stdin, answers, cpu = (statistics.median(column) for column in zip(*found, strict=True))
    yield Row(f"broadcast to {MEMBERS} and all their answers", answers, "ms", cpu, floor, [Aim(15)])
    yield Row("  the call", call)
    yield Row("  until the last one has it on its stdin", stdin)


if __name__ == "__main__":
    report(main())
