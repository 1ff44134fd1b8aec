"""What the crash harness runs: `python budget_crash.py DISK NOTES`, a day of spending, noted once it is sure.

NOTES survives everything: `heard` is a prompt that a CLI got, `metered` what it said to have used by then, `done` a
turn whose spending was seen in the books.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import trio
from budget_stage import Till, admit, config, release, settled, tell, until

import aegis_budget.plugin
from aegis import Caller, Kernel, open_kernel

LIMIT = 60_000  # tokens
BUDGETS = f"project: [{{output_tokens: {LIMIT}, window: 1d}}]\nturn: {{output_tokens: 10000}}"


def note(notes: Path, kind: str, **what: object) -> None:
    with (notes / "notes").open("a") as file:
        file.write(json.dumps({"kind": kind, **what}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def noted(notes: Path, kind: str) -> list[dict]:
    with suppress(FileNotFoundError):
        lines = map(json.loads, (notes / "notes").read_text().splitlines())
        return [line for line in lines if line["kind"] == kind]
    return []


async def spend(kernel: Kernel, till: Till, notes: Path, handle: str, *steps: int, last: int, task: str = "") -> None:
    """Have an agent take a turn, and note what the books have to know of it from then on."""
    message = await tell(kernel, handle, task_id=task)
    agent = kernel.roster.find(handle)
    session = till.sessions[agent.id]
    await session.begun.wait()
    turn = agent.turn.id
    note(notes, "heard", turn=turn)
    for step in steps:
        session.use(step)
        await settled(kernel)
        note(notes, "metered", turn=turn, tokens=session.tokens)
    session.end(last=last)
    await kernel.post.wait_turn(message)
    await until(lambda: any(r.kind == "spent" for r in kernel.ledger.book("budget").find(turn)))
    note(notes, "done", turn=turn, tokens=session.tokens)


async def day(disk: Path, notes: Path) -> None:
    till = Till()
    plugins = {"till": till, "budget": aegis_budget.plugin}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        await settled(kernel)
        await kernel.roster.spawn("poor", "ada")
        await spend(kernel, till, notes, "ada", last=4_000)
        await spend(kernel, till, notes, "ada", 8_000, 8_000, last=500)
        caps = [{"usd": 9, "window": "1h"}]
        await admit(kernel, "t1", caps)
        await kernel.roster.spawn("poor", "w", by=Caller("queue", "nightly"))
        await spend(kernel, till, notes, "w", 3_000, last=0, task="t1")
        await admit(kernel, "t2", caps)
        await release(kernel, "t2")
        await admit(kernel, "t3", caps)
        await tell(kernel, "ada")
        await till.sessions[kernel.roster.find("ada").id].begun.wait()


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    (disk / ".aegis.yaml").write_text(config(BUDGETS))
    trio.run(day, disk, Path(sys.argv[2]))
