"""What the ledger says became of every task, folded anew and without the code under test."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDS = ("completed", "failed", "cancelled")
STATES = ("pending", "running", *ENDS)


@dataclass
class Fate:
    """One task: what it is, its state, how often it ended, how often that was to be told, and how often it was."""

    data: dict[str, Any]
    state: str = "pending"
    ends: int = 0
    owed: int = 0
    told: int = 0
    attempted: int = 0
    begun: int = 0
    workers: set[str] = field(default_factory=set)


@dataclass
class Books:
    """The fold; `wrong` are the records that may not be where they are."""

    fates: dict[str, Fate] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seq: int = 0

    def read(self, records: Iterable[tuple[int, str, str, str, dict[str, Any]]]) -> Books:
        """Take in records (seq, book, kind, key, data), oldest first."""
        for seq, book, kind, key, data in records:
            self.seq = seq
            if book == "queue":
                self._queue(kind, key, data)
            elif (book, kind) == ("mail", "accepted") and data["sender"].startswith("queue:") and data.get("status"):
                fate = self.fates[data["task_id"]]
                fate.told += 1
                if data["recipient"] != fate.data["address"]:
                    self.wrong.append(f"the callback of {data['task_id']} went to {data['recipient']}")
        return self

    def _queue(self, kind: str, key: str, data: dict[str, Any]) -> None:
        if kind == "control":
            self.modes[key] = data["mode"]
        elif kind == "known":
            if key in self.keys:
                self.wrong.append(f"{key} names two tasks")
            self.keys[key] = data["task"]
        elif kind == "enqueued":
            if key in self.fates:
                self.wrong.append(f"{key} was enqueued twice")
            self.fates[key] = Fate(data)
        elif kind == "callback_attempted":
            self.fates[key].attempted += 1
        else:
            self._change(kind, self.fates[key], key, data)

    def _change(self, kind: str, fate: Fate, key: str, data: dict[str, Any]) -> None:
        if kind == "callback_dropped":
            fate.owed -= 1
            return
        before = {"dispatched": ("pending",), "reported": STATES, "requeued": ("pending", "running", *ENDS[1:])}
        allowed = before.get(kind, ("pending", "running"))
        if fate.state not in allowed:
            self.wrong.append(f"{key} was {fate.state} and then {kind}")
        if kind == "dispatched":
            fate.state, fate.begun = "running", fate.begun + 1
            fate.workers.add(data["worker"])
        elif kind == "requeued":
            fate.state = "pending"
        elif kind in ENDS:
            fate.state, fate.ends = kind, fate.ends + 1
            fate.owed += fate.data["callback"]

    def check(self) -> None:
        """Raise AssertionError unless every task has at most one end, and one callback for it."""
        assert not self.wrong, self.wrong
        for key, fate in self.fates.items():
            assert fate.told == fate.owed, f"{key}: {fate.ends} ends, {fate.told} of {fate.owed} callbacks"
            assert fate.told == fate.attempted, f"{key}: told {fate.told} times, and the log says {fate.attempted}"

    def counts(self, queue: str) -> Counter[str]:
        """Return how many tasks of a queue are in each state."""
        return Counter(fate.state for fate in self.fates.values() if fate.data["queue"] == queue)


def books(project: Path) -> Books:
    """Fold the ledger of a project in which nothing runs, or runs no more."""
    path = project / ".aegis" / "state" / "ledger.db"
    if not path.exists():
        return Books()
    with closing(sqlite3.connect(path)) as db:
        if not db.execute("select 1 from sqlite_master where name = 'records'").fetchone():
            return Books()
        assert db.execute("pragma integrity_check").fetchone() == ("ok",), "the ledger is damaged"
        rows = db.execute("select seq, book, kind, key, data from records order by seq")
        return Books().read((*row[:4], json.loads(row[4])) for row in rows)
