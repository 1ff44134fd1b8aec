"""Who is and who was: the fold of the roster's book. Agents by id, with the handles that lead to them.

Book `roster` (key: agent id): `spawned` → `session`* / `renamed`* / `slept`* → `closed`. State is keyed by id; an old
handle stays an alias until a new agent takes it, so a rename strands nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import count
from typing import Any

import msgspec

from aegis.callers import Caller
from aegis.errors import Refused, listed
from aegis.ledger import Book, Ledger, Record

_HANDLE, _LONGEST = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+){0,2}\Z"), 40
_OTHERS = re.compile(r"human|system|aegis|operator|(root|admin|user|you|me)(-|\Z)")  # who is not an agent
_KNOWN = 5_000  # closed agents of which it is still known how they began and were called


class Born(msgspec.Struct, frozen=True):
    """How an agent began, `by` whose act, and how it is called or was at last."""

    handle: str
    profile: str
    by: Caller
    born: str


class Directory:
    """Every agent that is not closed, as the book has it, and the last that were."""

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Any]] = {}
        self.handles: dict[str, str] = {}
        self._closed: dict[str, dict[str, Any]] = {}

    def restore(self, book: Book) -> None:
        """Read the book, and follow it from now on."""
        book.fold(self._begin, self._apply, lambda: (self.open, self.handles, self._closed), ends=("closed",))

    def numbers(self, ledger: Ledger) -> Iterator[int]:
        """Return numbers for permission requests: they rise over all runs, as each leaves more records than one."""
        return count(next(ledger.rows("select coalesce(max(seq), 0), 'null' from sqlite_sequence"))[0] + 1)

    def find(self, agent_id: str) -> Born | None:
        """Return how the agent began, closed or not; None when it never was, or was closed thousands of agents ago."""
        agent_id = self.handles.get(agent_id[6:], agent_id) if agent_id.startswith("agent:") else agent_id
        seen = self.open.get(agent_id) or self._closed.get(agent_id)
        return msgspec.convert(seen, Born) if seen else None

    def former(self, handle: str) -> Born | None:
        """Return how the agent began that is called so, or was, or was when it closed; the newest of several."""
        closed = (one for one in reversed(self._closed.values()) if one["handle"] == handle)
        return self.find(f"agent:{handle}") or next((msgspec.convert(one, Born) for one in closed), None)

    def check(self, handle: str, live: Collection[str], own: str = "") -> None:
        """Raise `Refused` unless an agent (whose `own` it is now) may be called so: it is a handle, and free."""
        if not _HANDLE.match(handle) or len(handle) > _LONGEST:
            raise Refused(f"{handle!r} is not a handle: up to 3 words of a-z, 0-9 joined by '-', {_LONGEST} letters")
        if _OTHERS.match(handle):
            raise Refused(f"{handle!r} reads as a person or as aegis itself; an agent cannot be called so")
        holder = self.open.get(self.handles.get(handle, ""), {})  # who is called so leads its handles
        if handle != own and (handle in live or holder.get("handle") == handle):
            raise Refused(f"the handle {handle!r} is taken (live: {listed(live)})")

    def _begin(self, snapshot: Any) -> None:
        self.open, self.handles, self._closed = snapshot

    def _apply(self, record: Record) -> None:
        if record.kind == "closed" and (gone := self.open.pop(record.key, None)):
            self.handles = {handle: x for handle, x in self.handles.items() if x != record.key}
            self._closed[record.key] = gone
            if len(self._closed) > _KNOWN:
                del self._closed[next(iter(self._closed))]
        elif record.kind == "spawned" or record.key in self.open:
            self.open[record.key] = self.open.get(record.key, {}) | record.data
            if handle := record.data.get("handle"):  # former handles go on leading to their agent
                self.handles[handle] = record.key
