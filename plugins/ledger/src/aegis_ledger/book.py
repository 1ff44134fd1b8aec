"""What the ledger keeps: records in named books, and how a state is the fold of one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import trio

if TYPE_CHECKING:
    from aegis_ledger.ledger import Ledger

SNAPSHOT_EVERY = 5_000
encode = msgspec.json.Encoder(enc_hook=str).encode


class LedgerFailure(Exception):
    """The disk did not keep what it was given, or cannot be read; nothing was acknowledged."""


class Draft(msgspec.Struct, frozen=True):
    """A record about to be written: `key` is what it is about, `data` any JSON object."""

    book: str
    kind: str
    key: str
    data: dict[str, Any] = {}


class Record(msgspec.Struct, frozen=True):
    """A record on disk; `seq` rises over all books."""

    seq: int
    book: str
    kind: str
    key: str
    at: str
    data: dict[str, Any]


@dataclass(slots=True)
class Slot:
    """What is stored all or none: rows (`once`: unless the first one's key is known), or a book's snapshot.

    `work` is other SQL, which changes `changed` rows; what must not share a transaction is `alone`. `waiting` is the
    task that goes on once it is stored, or has failed.
    """

    rows: list[tuple[str, str, str, bytes]]
    snapshot: tuple[str, int, bytes] | None = None
    once: bool = False
    work: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    alone: bool = False
    changed: int = 0
    waiting: trio.lowlevel.Task | None = None
    records: list[Record] = field(default_factory=list)
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Keeper:
    """What of a book may go: keys whose last record is of a kind in `ends` (None: each record stands for itself).

    `state` returns the fold of the book and the number of its last record; `held` the keys that are still asked for.
    """

    ends: frozenset[str] | None
    state: Callable[[], tuple[Any, int]]
    held: Callable[[], Iterable[str]] = tuple


class Book:
    """One plugin's stream of records: write the record, then act; a restart is a fold over `replay`."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger, self.name = ledger, name

    def draft(self, kind: str, key: str, /, **data: Any) -> Draft:
        """Return a record of this book for a `Ledger.append` together with others."""
        return Draft(self.name, kind, key, data)

    async def append(self, kind: str, key: str, /, **data: Any) -> Record:
        """Store one record; see `Ledger.append`."""
        return (await self._ledger.append(self.draft(kind, key, **data)))[0]

    def ride(self, kind: str, key: str, /, **data: Any) -> None:
        """Have one record stored for which nobody waits; see `Ledger.ride`."""
        self._ledger.ride(self.draft(kind, key, **data))

    def replay(self) -> tuple[Any, Iterator[Record]]:
        """Return the last snapshot (or None) and the records after it, oldest first."""
        last = self._ledger.rows("select seq, state from snapshots where book=?", self.name)
        seq, state = next(last, (0, None))
        return state, self._ledger.select("book=? and seq>? order by seq", self.name, seq)

    def snapshot(self, state: Any, upto: int) -> None:
        """Let a later `replay` begin with `state`, the fold of the records up to and with `upto`, soon."""
        self._ledger.put(Slot([], (self.name, upto, encode(state))))

    def fold(
        self,
        begin: Callable[[Any], None],
        apply: Callable[[Record], None],
        state: Callable[[], Any],
        *,
        ends: Collection[str] | None = (),
        held: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """Rebuild a state and keep it: `begin` with the snapshot, if any, `apply` each record, and each committed one.

        Live and after a restart the same function makes the state, so both agree. Once in `SNAPSHOT_EVERY` records
        what `state` returns is kept as the next snapshot. What may be taken out when it is old: all about a key whose
        last record is of a kind in `ends` and that is not `held`; with None each record; by default nothing.
        """
        snapshot, records = self.replay()
        if snapshot is not None:
            begin(snapshot)
        since = last = 0
        for record in records:  # many short lives must lead to a snapshot, too
            apply(record)
            since, last = since + 1, record.seq

        def committed(records: list[Record]) -> None:
            nonlocal since, last
            for record in records:
                if record.book == self.name:
                    apply(record)
                    last = record.seq
                    since += 1
                    if since >= SNAPSHOT_EVERY:
                        since = 0
                        self.snapshot(state(), record.seq)

        self._ledger.on_commit(committed, self.name)
        if ends is None or ends:
            known = None if ends is None else frozenset(ends)
            self._ledger.keep(self.name, Keeper(known, lambda: (state(), last or self._upto()), held))

    def _upto(self) -> int:
        """Return the number of the last record that the snapshot has."""
        found = self._ledger.rows("select seq, 'null' from snapshots where book=?", self.name)
        return int(next(found, (0,))[0])

    def find(self, key: str) -> list[Record]:
        """Return every record about `key`, oldest first."""
        return list(self._ledger.select("book=? and key=? order by seq", self.name, key))

    def newest(self, kind: str, count: int) -> list[Record]:
        """Return the newest `count` records of a kind, newest first."""
        return list(self._ledger.select("book=? and kind=? order by seq desc limit ?", self.name, kind, count))
