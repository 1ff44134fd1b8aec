"""What must hold after every crash of `crash_scenario.py`; an AssertionError says what does not."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import trio
from crash_scenario import Journal, noted
from fakedriver import Plugin

from aegis.app import Kernel, open_kernel
from aegis.errors import NotFound

_READ = re.compile(r"^> id (\w+).*\n  (token-\d+)$", re.MULTILINE)
Row = tuple[str, str, str, Any]  # book, kind, key, data


def stored(disk: Path) -> list[Row]:
    """Return every record on the disk, oldest first; a disk that died young has none."""
    path = disk / ".aegis" / "state" / "ledger.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        if not db.execute("select 1 from sqlite_master where name = 'records'").fetchone():
            return []
        assert db.execute("pragma integrity_check").fetchone() == ("ok",), "the ledger is damaged"
        rows = db.execute("select book, kind, key, data from records order by seq")
        return [(book, kind, key, msgspec.json.decode(data)) for book, kind, key, data in rows]


def recovered(disk: Path, notes: Path) -> None:
    """Restart the kernel on what was left, twice, and hold it to its promises."""
    before = stored(disk)
    trio.run(_recover, disk, notes, before)
    journals = _journals(notes)
    trio.run(_recover, disk, notes, stored(disk))
    assert _journals(notes) == journals, "a second restart delivered again what was done with"


async def _recover(disk: Path, notes: Path, before: list[Row]) -> None:
    plugins = {"journal": Plugin(drivers=[Journal(notes)])}
    async with open_kernel(disk, plugins=plugins, environment={}) as kernel:
        assert not kernel.faults, f"faults at start: {kernel.faults}"
        with trio.move_on_after(20) as patience:
            for letter in kernel.post.letters():
                if not letter.envelope.recipient.startswith("human:"):
                    await kernel.post.wait_turn(letter.envelope.id)
        assert not patience.cancelled_caught, f"never done with: {kernel.post.letters()}"
        acks = list(noted(notes / "acks"))
        _mail(kernel, acks, before, _journals(notes))
        _interrupted(kernel, before)
        _roster(kernel, acks, before)


def _journals(notes: Path) -> dict[str, list[tuple[str, str]]]:
    """Return what each agent received, as (envelope id, token), in order."""
    return {
        path.name: [read for line in noted(path) for read in _READ.findall(line["prompt"])]
        for path in sorted((notes / "journals").glob("*"))
    }


def _mail(kernel: Kernel, acks: list[dict[str, Any]], before: list[Row], journals: dict[str, Any]) -> None:
    for ack in (a for a in acks if a["did"] == "send"):
        try:
            receipt = kernel.post.receipt(ack["id"])
        except NotFound:
            raise AssertionError(f"{ack['token']} was accepted and is lost") from None
        assert receipt.state in ("ended", "dead"), f"{ack['token']} is {receipt.state} for ever"
        received = (ack["id"], ack["token"]) in journals.get(ack["to"], ())
        assert received or receipt.state == "dead", f"{ack['token']} was never received: {receipt}"
        if receipt.state == "dead":
            assert kernel.roster.get(ack["to"]) is None, f"{ack['token']} is dead, its recipient lives: {receipt}"
            _told(kernel, ack["id"], ack["by"])
    unread = {x.envelope.id for x in kernel.post.letters() if x.envelope.recipient.startswith("human:")}
    reads = [(key, data) for book, kind, key, data in before if (book, kind) == ("mail", "read")]
    read = {one for key, data in reads for one in (key, *data.get("also", ()))}
    for ack in acks:
        if ack["did"] == "write home":
            assert (ack["id"] in unread) != (ack["id"] in read), f"the letter home {ack['id']} is lost"
        elif ack["did"] == "read":
            assert not unread & set(ack["ids"]), "what was read is new again"
    accepted = [key for book, kind, key, _ in before if (book, kind) == ("mail", "accepted")]
    for agent_id, received in journals.items():
        ids_of: dict[str, set[str]] = {}
        for envelope_id, token in received:
            ids_of.setdefault(token, set()).add(envelope_id)
        twice = {token for token, ids in ids_of.items() if len(ids) > 1}
        assert not twice, f"{agent_id} received {twice} under more than one id"
        order = list(dict.fromkeys(envelope_id for envelope_id, _ in received if envelope_id in accepted))
        assert order == sorted(order, key=accepted.index), f"{agent_id} received its mail out of order"


def _told(kernel: Kernel, envelope_id: str, sender: str) -> None:
    if sender.startswith("human:") or kernel.roster.get(sender):
        replies = [e.in_reply_to for e in _accepted(kernel) if (e.sender, e.recipient) == ("system", sender)]
        assert replies.count(envelope_id) == 1, f"{sender} was told {replies.count(envelope_id)} times of {envelope_id}"


def _accepted(kernel: Kernel) -> Iterator[Any]:
    for record in kernel.ledger.book("mail").newest("accepted", 1000):
        yield kernel.post.find(record.key)[0]


def _interrupted(kernel: Kernel, before: list[Row]) -> None:
    """Turns that were in flight are over, as interrupted, and those who waited for them know."""
    over = {key for book, kind, key, _ in before if book == "mail" and kind in ("ended", "dead")}
    for book, kind, key, _ in before:
        if (book, kind) == ("mail", "injected") and key not in over:
            envelope, receipt = kernel.post.find(key)
            if receipt.state != "dead":
                assert receipt.outcome == "interrupted", f"the turn of {key} was in flight and is {receipt}"
            if envelope.sender_id:
                _told(kernel, key, envelope.sender_id)


def _roster(kernel: Kernel, acks: list[dict[str, Any]], before: list[Row]) -> None:
    closed = {key for book, kind, key, _ in before if (book, kind) == ("roster", "closed")}
    for ack in acks:
        agent = kernel.roster.get(ack.get("id", ""))
        if ack["did"] == "spawn" and ack["id"] not in closed:
            assert agent, f"{ack['handle']} was spawned and is not there"
            assert kernel.roster.find(ack["handle"]) is agent, f"{ack['handle']} does not lead to it any more"
            assert agent.session_id, f"{ack['handle']} has forgotten its session"
        elif ack["did"] == "rename":
            assert agent and agent.handle == ack["handle"], f"{ack['was']} was renamed to {ack['handle']}: {agent}"
        elif ack["did"] == "sleep":
            assert agent and (agent.state, agent.reason) == ("asleep", "night"), f"it does not sleep: {agent}"
        elif ack["did"] == "close":
            assert agent is None, f"{ack['id']} was closed and is back"
