"""What the crash harness runs: two agents and a person hand tasks over; every acknowledgement is noted.

`python queue_crash.py DISK NOTES`: the project is on DISK, which can be lost; NOTES survives everything.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import trio
from player_driver import Players, begin, crash, done, failing
from queue_stage import ANNA, Queues

import aegis_queue.plugin
from aegis.app import open_kernel

CONFIG = "queues:\n  one: {agent: player}\n  two: {agent: player, max_parallel: 2, retries: 1, backoff: 0.05}\n"


def note(notes: Path, **what: Any) -> None:
    """Add a line that survives everything."""
    with (notes / "acks").open("a") as file:
        file.write(json.dumps(what) + "\n")
        file.flush()
        os.fsync(file.fileno())


async def main(disk: Path, notes: Path) -> None:
    (disk / ".aegis.yaml").write_text(CONFIG)
    players = Players()
    plugins = {"player": players, "queue": aegis_queue.plugin}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        queues = Queues(kernel, players)
        lead = await kernel.roster.spawn("player", "lead")

        async def put(caller: Any = ANNA, queue: str = "one", **more: Any) -> str:
            task = await queues.put("work", caller, queue, **more)
            note(notes, task=task, callback=more.get("callback", True))
            return task

        players.playbook = [done]
        await queues.end(await put())  # from the line to the callback
        players.playbook = [crash, failing("no"), done, done]
        await queues.end(await put(lead, "two", key="nightly"))  # two attempts fail, and an agent is told
        await put(lead, "two", key="nightly")
        players.playbook, players.otherwise = [], begin
        first = await put(queue="two")
        second, third = await put(), await put(after=[first])
        await queues.settled()
        worker = kernel.roster.find(f"two-{first[-4:].lower()}")
        await queues.call("report", worker, result={"bugs": 3}, artefacts=["a.md"])
        note(notes, reported=first)
        await queues.call("task cancel", task_id=second)
        note(notes, cancelled=second)
        players.otherwise = done
        done(players.sessions[worker.id], "")
        await queues.end(first)
        await queues.end(third)
        again = await put(queue="one", callback=False)
        await queues.end(again)
        await queues.call("queue pause", queue="one")
        await put(priority=5)
        note(notes, paused=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]))
