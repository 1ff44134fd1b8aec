"""The book `terminal`, and the terminals as it describes them.

Keyed by terminal: `spawned` → (`subscribed` | `unsubscribed`)* → `closed` → `spawned` … → `purged`. Keyed by terminal
and number: `began` → `ran`. A run that began and has no end was cut off when a former kernel was killed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aegis import Kernel, NotFound
from aegis.errors import listed, nearest
from aegis.ledger import Draft, Record
from aegis_terminal.values import HALF, Interest, Run, TerminalRecord, run_of

_SNAPSHOT = 200  # runs after which a snapshot is stored, so that a start need not read their output again


class Store:
    """Every terminal that was not purged, closed ones, too."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("terminal")
        self._live, self._since = False, 0
        self.terminals: dict[str, TerminalRecord] = {}

    def restore(self) -> None:
        """Rebuild the records of terminals."""
        self._book.fold(self._begin, self._apply, self._state, ends=("ran", "purged"))
        self._live = True

    def _begin(self, snapshot: Any) -> None:
        self.terminals = {known["id"]: msgspec.convert(known, TerminalRecord) for known in snapshot}

    def _state(self) -> list[TerminalRecord]:
        return [msgspec.to_builtins(known) for known in self.terminals.values()]

    def _apply(self, record: Record) -> None:
        data, key = record.data, record.key.partition("#")[0]
        known = self.terminals.get(key)
        if record.kind == "spawned":
            fresh = msgspec.convert({**data, "id": key}, TerminalRecord)
            if known:
                fresh.runs, fresh.open, fresh.subscribers = known.runs, known.open, known.subscribers
                fresh.last_cmd_at, fresh.last_exit = known.last_cmd_at, known.last_exit
            self.terminals[key] = fresh
        elif known:
            self._change(known, record.kind, data)
        if record.kind == "ran" and self._live:
            self._since += 1
            if self._since >= _SNAPSHOT:
                self._since = 0
                self._book.snapshot(self._state(), record.seq)

    def _change(self, known: TerminalRecord, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "began":
                run = run_of(data)
                known.open[str(run.seq)], known.runs, known.last_cmd_at = run, run.seq + 1, run.started_at
            case "ran":
                run = run_of(data)
                known.open.pop(str(run.seq), None)
                known.last_exit = run.exit
            case "subscribed":
                known.subscribers[data["who"]] = Interest(data["pattern"], data["exit"])
            case "unsubscribed":
                known.subscribers.pop(data["who"], None)
            case "closed":
                known.closed = data["reason"]
            case "purged":
                del self.terminals[known.id]

    def draft(self, kind: str, terminal_id: str, **data: Any) -> Draft:
        """Return a record about a terminal, to be stored with others."""
        return self._book.draft(kind, terminal_id, terminal=self._name(terminal_id, data), **data)

    def run(self, kind: str, terminal_id: str, run: Run) -> Draft:
        """Return the record that a run began, or how it ended."""
        name = self._name(terminal_id, {})
        return self._book.draft(kind, f"{terminal_id}#{run.seq}", terminal=name, **msgspec.to_builtins(run))

    def _name(self, terminal_id: str, data: dict[str, Any]) -> str:
        return self.terminals[terminal_id].name if terminal_id in self.terminals else str(data.get("name"))

    async def append(self, *drafts: Draft) -> None:
        """Store them all or none."""
        await self._kernel.ledger.append(*drafts)

    def get(self, name: str) -> TerminalRecord | None:
        """Return the terminal of this name, None when it does not exist."""
        return next((known for known in self.terminals.values() if known.name == name), None)

    def find(self, name: str) -> TerminalRecord:
        """Return the terminal of this name; raises `NotFound` with those there are."""
        if (known := self.get(name)) is not None:
            return known
        names = [known.name for known in self.terminals.values()]
        how = f"`term spawn {name}` opens it"
        raise NotFound(f"there is no terminal {name!r} (terminals: {listed(names)}); {how}.{nearest(name, names)}")

    def runs(self, known: TerminalRecord, first: int, most: int) -> list[Run]:
        """Return up to `most` runs from this number on: the last whole, of longer ones before it only the end."""
        first = max(0, first)
        found = (self._book.find(f"{known.id}#{seq}") for seq in range(first, min(known.runs, first + most)))
        runs = [run_of(records[-1].data) for records in found if records]
        each = max(400, HALF // 2 // max(1, len(runs) - 1))
        return [*(run.shortened(each) for run in runs[:-1]), *runs[-1:]]
