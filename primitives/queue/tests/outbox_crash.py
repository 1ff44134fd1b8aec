"""What the crash harness runs with a broker that has an outbox: a task of two attempts, whose owner is told its end.

`python outbox_crash.py DISK NOTES`: as `queue_crash.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio
import trio.testing
from file_broker import FileBrokerPlugin
from player_driver import Players, done, failing
from queue_crash import note
from queue_stage import Queues

import aegis_queue.plugin
from aegis.app import open_kernel

CONFIG = """\
plugins: {queue: {broker: file}}
queues: {two: {agent: player, max_parallel: 2, retries: 1, backoff: 0.05}}
"""


async def main(disk: Path, notes: Path) -> None:
    (disk / ".aegis.yaml").write_text(CONFIG)
    players = Players()
    plugins = {"player": players, "queue": aegis_queue.plugin, "engine": FileBrokerPlugin()}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        queues = Queues(kernel, players)
        lead = await kernel.roster.spawn("player", "lead")
        players.playbook = [failing("no"), done]
        task = await queues.put("work", lead, "two")
        note(notes, task=task)
        await queues.end(task)
        while not players.heard or players.heard[-1][0] != lead.id:  # it was told
            await trio.testing.wait_all_tasks_blocked(0.002)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]))
