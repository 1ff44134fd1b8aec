"""Durable books in one SQLite file: what a verb answered is on disk, what belongs together is stored together.

One connection and one writer task, which commits whatever piled up while the last commit was in flight
(WAL, `synchronous=FULL`: one fsync a commit). Other processes read with `mode=ro` or go through the kernel.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from typing import Any

import msgspec
import trio

from aegis.errors import LedgerError
from aegis.registry import acting, owner

_SCHEMA = """
pragma journal_mode=wal; pragma synchronous=full; pragma fullfsync=1;
create table if not exists records(
  seq integer primary key autoincrement, book text not null, kind text not null, key text not null, at text not null,
  data blob not null);
create index if not exists records_by_key on records(book, key);
create index if not exists records_by_book on records(book, seq);
create table if not exists snapshots(book text primary key, seq integer not null, state blob not null);
"""
_INSERT = "insert into records(book, kind, key, at, data) values (?, ?, ?, ?, ?)"
_SNAPSHOT = "insert or replace into snapshots(book, seq, state) values (?, ?, ?)"
SNAPSHOT_EVERY = 5_000
_encode = msgspec.json.Encoder(enc_hook=str).encode


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
    """What is stored all or none: rows, or a book's snapshot."""

    rows: list[tuple[str, str, str, bytes]]
    snapshot: tuple[str, int, bytes] | None = None
    done: trio.Event = field(default_factory=trio.Event)
    records: list[Record] = field(default_factory=list)
    error: LedgerError | None = None


class Ledger:
    """Every book of one project."""

    def __init__(self, path: Path, now: Callable[[], str], cut: Callable[[bytes], bytes] = bytes) -> None:
        self._path, self._now, self._cut = path, now, cut
        self._waiting: list[Slot] = []
        self._over = False
        self._wake = trio.Event()
        self.listeners: list[tuple[str, Callable[[list[Record]], object]]] = []
        try:
            self._db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
            self._db.executescript(_SCHEMA)
            self._read = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)  # sees only what is committed
        except sqlite3.Error as error:
            why = f"cannot open the ledger {path}: {error}; is the disk full, read-only or damaged?"
            raise LedgerError(why) from error

    def book(self, name: str) -> Book:
        """Return the book of this name; books need no creation."""
        return Book(self, name)

    def on_commit(self, tell: Callable[[list[Record]], object]) -> None:
        """Have `tell` called with each group of records, in order, once it is on disk and before anyone is answered."""
        self.listeners.append((owner.get(), tell))

    def remove(self, by: str) -> None:
        """Tell the listeners of this owner no more."""
        self.listeners = [(whose, tell) for whose, tell in self.listeners if whose != by]

    async def append(self, *drafts: Draft) -> list[Record]:
        """Store all of the drafts or none, on disk when this returns, cancelled or not; raises `LedgerError`."""
        try:
            slot = Slot([(d.book, d.kind, d.key, self._cut(_encode(d.data))) for d in drafts])
        except Exception as error:
            raise LedgerError(f"the ledger {self._path} did not store the record: {error!r}") from error
        self.put(slot)
        with trio.CancelScope(shield=True):  # accepted work is stored or failed, never "maybe"
            await slot.done.wait()
        if slot.error:
            raise slot.error
        return slot.records

    def put(self, slot: Slot) -> None:
        """Have the slot stored with the next commit."""
        if self._over:
            raise LedgerError(f"the ledger {self._path} is closed; the record was not stored")
        self._waiting.append(slot)
        self._wake.set()

    async def run(self) -> None:
        """Commit what is put, in order, for as long as the kernel lives; cancelled, it commits what still waits."""
        try:
            while True:
                await self._wake.wait()
                await self._write()
        finally:
            with trio.CancelScope(shield=True):
                while self._waiting:
                    await self._write()
            self._over = True
            self._read.close()
            self._db.close()

    async def _write(self) -> None:
        self._wake = trio.Event()
        batch, self._waiting = self._waiting, []
        with trio.CancelScope(shield=True):  # a commit under way is waited for, so that each slot learns its fate
            if not await trio.to_thread.run_sync(self._commit, batch):
                for slot in batch:  # one bad row must not fail its neighbours
                    await trio.to_thread.run_sync(self._commit, [slot])
        for slot in batch:
            for whose, tell in self.listeners if slot.records else ():
                try:
                    with acting(whose):
                        tell(slot.records)
                except Exception:
                    logging.getLogger(__name__).exception("a listener of the ledger failed")
            slot.done.set()

    def _commit(self, batch: list[Slot]) -> bool:
        at = self._now()
        stored: list[list[Record]] = []
        try:
            self._db.execute("begin immediate")
            for slot in batch:
                stored.append([self._insert(*row, at) for row in slot.rows])
                if slot.snapshot:
                    self._db.execute(_SNAPSHOT, slot.snapshot)
            self._db.execute("commit")
        except Exception as error:  # noqa: BLE001 - whatever it was, each slot learns its fate
            if self._db.in_transaction:
                self._db.execute("rollback")
            for slot in batch:
                slot.error = LedgerError(f"the ledger {self._path} did not store the record: {error}")
            return False
        for slot, records in zip(batch, stored, strict=True):
            slot.records, slot.error = records, None
        return True

    def _insert(self, book: str, kind: str, key: str, data: bytes, at: str) -> Record:
        seq = self._db.execute(_INSERT, (book, kind, key, at, data)).lastrowid or 0
        return Record(seq, book, kind, key, at, msgspec.json.decode(data))  # what a replay will give, too

    def select(self, where: str, *args: Any) -> Iterator[Record]:
        """Return the stored records for which an SQL condition holds."""
        return starmap(Record, self.rows(f"select seq, book, kind, key, at, data from records where {where}", *args))

    def rows(self, query: str, *args: Any) -> Iterator[Any]:
        """Yield the rows of a query, whose last column is JSON; raises `LedgerError`."""
        try:
            with closing(self._read.execute(query, args)) as rows:
                for *fields, data in rows:
                    yield *fields, msgspec.json.decode(data)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise LedgerError(f"the ledger {self._path} cannot be read: {error}; is the file damaged?") from error


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

    def replay(self) -> tuple[Any, Iterator[Record]]:
        """Return the last snapshot (or None) and the records after it, oldest first."""
        last = self._ledger.rows("select seq, state from snapshots where book=?", self.name)
        seq, state = next(last, (0, None))
        return state, self._ledger.select("book=? and seq>? order by seq", self.name, seq)

    def snapshot(self, state: Any, upto: int) -> None:
        """Let a later `replay` begin with `state`, the fold of the records up to and with `upto`, soon."""
        self._ledger.put(Slot([], (self.name, upto, _encode(state))))

    def fold(self, begin: Callable[[Any], None], apply: Callable[[Record], None], state: Callable[[], Any]) -> None:
        """Rebuild a state and keep it: `begin` with the snapshot, if any, `apply` each record, and each committed one.

        Live and after a restart the same function makes the state, so both agree. Once in `SNAPSHOT_EVERY` records
        what `state` returns is kept as the next snapshot.
        """
        snapshot, records = self.replay()
        if snapshot is not None:
            begin(snapshot)
        since = 0
        for since, record in enumerate(records, 1):  # noqa: B007 - many short lives must lead to a snapshot, too
            apply(record)

        def committed(records: list[Record]) -> None:
            nonlocal since
            for record in records:
                if record.book == self.name:
                    apply(record)
                    since += 1
                    if since >= SNAPSHOT_EVERY:
                        since = 0
                        self.snapshot(state(), record.seq)

        self._ledger.on_commit(committed)

    def find(self, key: str) -> list[Record]:
        """Return every record about `key`, oldest first."""
        return list(self._ledger.select("book=? and key=? order by seq", self.name, key))

    def newest(self, kind: str, count: int) -> list[Record]:
        """Return the newest `count` records of a kind, newest first."""
        return list(self._ledger.select("book=? and kind=? order by seq desc limit ?", self.name, kind, count))
