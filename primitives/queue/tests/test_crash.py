"""Killed at every sync of its disk: what was accepted ends once, and whoever waits for it is told once."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing
from books import books
from file_broker import FileBrokerPlugin
from outbox_crash import CONFIG as OUTBOX
from player_driver import Players
from queue_crash import CONFIG
from queue_stage import Queues

import aegis_queue.plugin
from aegis.app import open_kernel
from aegis.testing.crash import walk

SCENARIO = [sys.executable, str(Path(__file__).with_name("queue_crash.py"))]
KINDS = {
    "enqueued",
    "known",
    "dispatched",
    "reported",
    "requeued",
    "completed",
    "failed",
    "cancelled",
    "control",
    "callback_attempted",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the crash harness works on Linux only")


def acks(notes: Path) -> list[dict[str, str]]:
    file = notes / "acks"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def recovered(disk: Path, notes: Path) -> None:
    """Restart aegis on what was left (every now and then twice), and hold it to its promises."""
    found = books(disk)
    found.check()
    noted = acks(notes)
    for ack in noted:
        if "task" in ack:
            assert ack["task"] in found.fates, f"{ack['task']} was accepted and is lost"
        elif "cancelled" in ack:
            assert found.fates[ack["cancelled"]].state == "cancelled"
        elif "paused" in ack:
            assert found.modes == {"one": "paused"}
    for _ in range(1 + (len(noted) % 4 == 1)):
        (disk / ".aegis.yaml").write_text(CONFIG)
        ends = {key: fate.ends for key, fate in books(disk).fates.items()}
        trio.run(_live, disk, noted)
        after = books(disk)
        after.check()
        for key, fate in after.fates.items():
            assert fate.ends == 1, f"{key} ended {fate.ends} times"
            assert fate.state == "completed" or key not in ends or fate.state in ("failed", "cancelled")
            assert fate.told == bool(fate.data["callback"]), f"{key} was told {fate.told} times"
            assert fate.begun <= 2


async def _live(disk: Path, noted: list[dict[str, str]]) -> None:
    players = Players()
    players.kept = _Every()
    plugins = {"player": players, "queue": aegis_queue.plugin}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        queues = Queues(kernel, players)
        await queues.call("queue resume", queue="one")
        with trio.move_on_after(20) as patience:
            for row in await queues.call("task list"):
                await queues.end(row.id)
        await queues.settled()
        assert queues.workers() == []
        assert not patience.cancelled_caught, f"never ends: {await queues.call('task list')}"
        assert not kernel.faults, f"faults: {kernel.faults}"
        for ack in noted:
            if "reported" in ack:
                status = await queues.status(ack["reported"])
                assert (status.result, status.artefacts) == ('{"bugs":3}', ("a.md",)), "the report is lost"


class _Every(set[str]):
    """Every session is kept."""

    def __contains__(self, session: object) -> bool:
        return True


@pytest.mark.timeout(300)
def test_what_was_accepted_ends_once_whichever_write_aegis_dies_at() -> None:
    kinds: set[str] = set()
    states: set[str] = set()

    def check(disk: Path, notes: Path) -> None:
        path = disk / ".aegis" / "state" / "ledger.db"
        if path.exists():
            states.add(str(sorted((f.state, f.begun) for f in books(disk).fates.values())))
        recovered(disk, notes)
        if path.exists():
            kinds.update(_kinds(path))

    found = walk(SCENARIO, check)
    print(found)
    assert not found.failures, str(found)
    assert {crash.sync for crash in found.crashes} == set(range(len(found.syncs) + 1)), "a sync was passed over"
    assert kinds >= KINDS, f"the scenario writes no {KINDS - kinds}"
    assert len(states) > 15, "the crashes left too few different disks"


@pytest.mark.timeout(120)
def test_the_walk_finds_a_ledger_that_does_not_sync() -> None:
    found = walk(SCENARIO, recovered, skip="*-wal", enough=3)
    assert len(found.failures) >= 3
    assert {crash.loss for crash in found.failures} == {"power loss"}, str(found)


def _kinds(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {kind for (kind,) in db.execute("select distinct kind from records where book='queue'")}


def stored(disk: Path) -> dict[str, str]:
    """Return the state of each task in the file of the second broker."""
    path = disk / ".aegis" / "state" / "tasks.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as db:
        known = db.execute("select 1 from sqlite_master where name='tasks'").fetchone()
        return dict(db.execute("select id, state from tasks")) if known else {}


def told(disk: Path) -> list[tuple[str, str]]:
    """Return the task and the body of each letter of a queue that was accepted for somebody."""
    with closing(sqlite3.connect(disk / ".aegis" / "state" / "ledger.db")) as db:
        rows = db.execute("select data from records where book='mail' and kind='accepted' order by seq")
        letters = [json.loads(data) for (data,) in rows]
    return [(x["task_id"], x["body"]) for x in letters if x["sender"].startswith("queue:") and x.get("status")]


async def _live_with_an_outbox(disk: Path) -> None:
    players = Players()
    players.kept = _Every()
    plugins = {"player": players, "queue": aegis_queue.plugin, "engine": FileBrokerPlugin()}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        queues = Queues(kernel, players)
        with trio.fail_after(20):
            for row in await queues.call("task list"):
                await queues.end(row.id)
            while queues.workers():
                await trio.testing.wait_all_tasks_blocked(0.002)
        await queues.settled()
        assert not kernel.faults, f"faults: {kernel.faults}"


@pytest.mark.timeout(300)
def test_with_an_outbox_every_end_is_told_once_whichever_write_aegis_dies_at() -> None:
    states: set[str] = set()

    def check(disk: Path, notes: Path) -> None:
        tasks = stored(disk)
        states.update(tasks.values())
        assert {ack["task"] for ack in acks(notes)} <= tasks.keys(), "what was accepted is lost"
        (disk / ".aegis.yaml").write_text(OUTBOX)
        for _ in range(2):
            trio.run(_live_with_an_outbox, disk)
            assert sorted(task for task, _ in told(disk)) == sorted(tasks), told(disk)
            assert {state in ("completed", "failed", "cancelled") for state in stored(disk).values()} <= {True}

    found = walk([sys.executable, str(Path(__file__).with_name("outbox_crash.py"))], check)
    print(found)
    assert not found.failures, str(found)
    assert states >= {"pending", "running", "completed"}
