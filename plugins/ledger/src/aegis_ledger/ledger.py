"""Durable books in one SQLite file: what a verb answered is on disk, what belongs together is stored together.

One connection and one writer task, which commits whatever piled up while the last commit was in flight
(WAL, `synchronous=FULL`: one fsync a commit). Other processes read with `mode=ro` or go through the kernel.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio

from aegis_ledger.book import Book, Draft, LedgerFailure, Record, Slot, encode
from aegis_ledger.continuity import Continuity
from aegis_ledger.counts import Counts
from aegis_private.folder import Folder
from aegis_private.ownership import NotPrivate

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
_BESIDE = ("", "-wal", "-shm", "-journal")
_KNOWN = "select 1 from records where book=? and key=? limit 1"
T = TypeVar("T")


def _secure(path: Path) -> None:
    """Have the file, and those that SQLite keeps beside it with its mode, be this user's alone and no links."""
    with Folder.open(path.parent) as folder:
        for name in (f"{path.name}{more}" for more in _BESIDE):
            if name == path.name or (path.parent / name).is_symlink() or (path.parent / name).exists():
                folder.secure(name)


class Ledger:
    """Books in one file: `now` stamps the records, `cut` takes out of their JSON what must not be kept.

    `error` is what it raises, with a sentence; `counts` says what it has done.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], str],
        cut: Callable[[bytes], bytes] = bytes,
        error: type[Exception] = LedgerFailure,
        accept: str = "",
    ) -> None:
        """Open the ledger; one that is not what was here is refused, and `accept` says how a person goes on with it."""
        self._path, self._now, self._cut, self._error = path, now, cut, error
        self._waiting: list[Slot] = []
        self.counts = Counts()
        self._over = False
        self._wake = trio.Event()
        self.listeners: list[Callable[[list[Record]], object]] = []
        self._continuity = Continuity(path)
        try:
            _secure(path)
            if why := self._continuity.trouble():
                raise self._error(f"{why}; put the right one back{accept and f', or go on with it by `{accept}`'}")
            self._db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
            self._db.executescript(_SCHEMA)
            self._read = self._reader()
            self._continuity.begin(self._db)
        except (sqlite3.Error, OSError, NotPrivate) as error:
            why = f"cannot open the ledger {path}: {error}; is the disk full, read-only or damaged?"
            raise self._error(why) from error

    def book(self, name: str) -> Book:
        """Return the book of this name; books need no creation."""
        return Book(self, name)

    def on_commit(self, tell: Callable[[list[Record]], object]) -> None:
        """Have `tell` called with each group of records, in order, once it is on disk and before anyone is answered."""
        self.listeners.append(tell)

    async def append(self, *drafts: Draft, once: bool = False) -> list[Record]:
        """Store all of the drafts or none, on disk when this returns, cancelled or not; raises the error.

        With `once` none, and an empty list is returned, when there is a record about the first one's key already.
        """
        try:
            slot = Slot([(d.book, d.kind, d.key, self._cut(encode(d.data))) for d in drafts], once=once)
        except Exception as error:
            raise self._error(f"the ledger {self._path} did not store the record: {error!r}") from error
        self.counts.appends += 1
        self.put(slot)
        with trio.CancelScope(shield=True):  # accepted work is stored or failed, never "maybe"
            await slot.done.wait()
        if slot.error:
            raise slot.error
        return slot.records

    def put(self, slot: Slot) -> None:
        """Have the slot stored with the next commit."""
        if self._over:
            raise self._error(f"the ledger {self._path} is closed; the record was not stored")
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
            for tell in list(self.listeners) if slot.records else ():
                try:
                    tell(slot.records)
                except Exception:  # a listener's mistake must not cost anyone a record
                    logging.getLogger(__name__).exception("a listener of the ledger failed")
            slot.done.set()

    def _commit(self, batch: list[Slot]) -> bool:
        at = self._now()
        stored: list[list[Record]] = []
        try:
            self._db.execute("begin immediate")
            for slot in batch:
                known = slot.once and self._db.execute(_KNOWN, slot.rows[0][0:3:2]).fetchone()
                stored.append([] if known else [self._insert(*row, at) for row in slot.rows])
                if slot.snapshot:
                    self._db.execute(_SNAPSHOT, slot.snapshot)
            self._db.execute("commit")
        except Exception as error:  # noqa: BLE001 - whatever it was, each slot learns its fate
            if self._db.in_transaction:
                self._db.execute("rollback")
            for slot in batch:
                slot.error = self._error(f"the ledger {self._path} did not store the record: {error}")
            return False
        self.counts.commits += 1
        for slot, records in zip(batch, stored, strict=True):
            self.counts.rows += len(records)
            self.counts.written += sum(len(row[3]) for row in slot.rows) if records else 0
            slot.records, slot.error = records, None
            self._continuity.keep(records[-1].seq if records else 0)
        return True

    def _insert(self, book: str, kind: str, key: str, data: bytes, at: str) -> Record:
        seq = self._db.execute(_INSERT, (book, kind, key, at, data)).lastrowid or 0
        return Record(seq, book, kind, key, at, msgspec.json.decode(data))  # what a replay will give, too

    def _reader(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)  # sees only what is committed

    async def aside(self, work: Callable[[Callable[..., Iterator[Record]]], T]) -> T:
        """Return what `work(select)` makes of the records, in a thread: a long history does not keep the loop."""

        counts = Counts()

        def read() -> T:
            with closing(self._reader()) as db:
                return work(partial(self.select, db=db, counts=counts))

        found = await trio.to_thread.run_sync(read)
        self.counts.add_aside(counts)
        return found

    def select(
        self, where: str, *args: Any, db: sqlite3.Connection | None = None, counts: Counts | None = None
    ) -> Iterator[Record]:
        """Return the stored records for which an SQL condition holds."""
        query = f"select seq, book, kind, key, at, data from records where {where}"
        return starmap(Record, self.rows(query, *args, db=db, counts=counts))

    def rows(
        self, query: str, *args: Any, db: sqlite3.Connection | None = None, counts: Counts | None = None
    ) -> Iterator[Any]:
        """Yield the rows of a query, whose last column is JSON; raises the error."""
        counts = counts or self.counts
        counts.queries += 1
        try:
            with closing((db or self._read).execute(query, args)) as rows:
                for *fields, data in rows:
                    counts.rows_read += 1
                    counts.read += len(data)
                    yield *fields, msgspec.json.decode(data)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise self._error(f"the ledger {self._path} cannot be read: {error}; is the file damaged?") from error
