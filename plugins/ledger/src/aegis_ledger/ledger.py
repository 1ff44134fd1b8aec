"""Durable books in one SQLite file: what a verb answered is on disk, what belongs together is stored together.

One connection and one thread that writes: it commits whatever piled up while the last commit was in flight
(WAL, `synchronous=FULL`: one fsync a commit). Other processes read with `mode=ro` or go through the kernel.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import starmap
from math import inf
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import msgspec
import trio

from aegis_ledger.book import Book, Draft, LedgerFailure, Record, Slot, encode
from aegis_ledger.continuity import Continuity
from aegis_ledger.counts import Counts
from aegis_ledger.owned import Owned
from aegis_ledger.writer import Writer
from aegis_private.folder import Folder
from aegis_private.ownership import NotPrivate

_SCHEMA = """
pragma auto_vacuum=incremental; pragma journal_mode=wal; pragma synchronous=full; pragma fullfsync=1;
create table if not exists records(
  seq integer primary key autoincrement, book text not null, kind text not null, key text not null, at text not null,
  data blob not null);
create index if not exists records_by_key on records(book, key);
create index if not exists records_by_book on records(book, seq);
create index if not exists records_by_kind on records(book, kind, seq);
create table if not exists snapshots(book text primary key, seq integer not null, state blob not null);
"""
_log = logging.getLogger(__name__)
_BESIDE = ("", "-wal", "-shm", "-journal")
RIDE = 0.02  # seconds after which a record for which nobody waits is stored by itself
running: WeakSet[Ledger] = WeakSet()  # of this process: whoever has time stand still while one is busy asks them
T = TypeVar("T")


def _secure(path: Path) -> None:
    """Have the file, and those that SQLite keeps beside it with its mode, be this user's alone and no links."""
    with Folder.open(path.parent) as folder:
        for name in (f"{path.name}{more}" for more in _BESIDE):
            if name == path.name or (path.parent / name).is_symlink() or (path.parent / name).exists():
                folder.secure(name)


class Ledger(Owned):
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
        super().__init__()
        self._path, self._now, self._cut, self._error = path, now, cut, error
        self._riding: list[Slot] = []
        self._last: Slot | None = None  # the one put last
        self._late = trio.CancelScope()
        self.counts = Counts()
        self._over, self._under_way = False, 0
        self._continuity = Continuity(path)
        try:
            _secure(path)
            if why := self._continuity.trouble():
                raise self._error(f"{why}; put the right one back{accept and f', or go on with it by `{accept}`'}")
            self._db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
            self._db.executescript(_SCHEMA)
            self._read = self._reader()
            self._continuity.begin(self._db)
            self._writer = Writer(self._db, now, self._continuity.keep, self.counts, self._not_stored)
        except (sqlite3.Error, OSError, NotPrivate) as error:
            self._continuity.close()
            why = f"cannot open the ledger {path}: {error}; is the disk full, read-only or damaged?"
            raise self._error(why) from error

    def book(self, name: str) -> Book:
        """Return the book of this name; books need no creation."""
        return Book(self, name)

    @property
    def size(self) -> int:
        """How many bytes the file has, with what is written beside it and not in it yet."""
        beside = self._path.with_name(f"{self._path.name}-wal")
        return sum(file.stat().st_size for file in (self._path, beside) if file.exists())

    async def ask(self, query: str, *args: Any) -> list[Any]:
        """Return the first column of a query's rows, read in a thread."""

        def read() -> list[Any]:
            with closing(self._reader()) as db:
                return [row[0] for row in db.execute(query, args)]

        return await trio.to_thread.run_sync(read)

    async def store(self, slot: Slot) -> None:
        """Have the slot stored, on disk when this returns; raises the error."""
        self.put(slot)
        await self._done(slot)

    async def append(self, *drafts: Draft, once: bool = False) -> list[Record]:
        """Store all of the drafts or none, on disk when this returns, cancelled or not; raises the error.

        With `once` none, and an empty list is returned, when there is a record about the first one's key already.
        """
        slot = self._slot(drafts, once=once)
        self.counts.appends += 1
        self.put(slot)
        return await self._done(slot)

    def ride(self, *drafts: Draft) -> None:
        """Have all of the drafts stored or none, for which nobody waits: with the next commit, or after `RIDE` seconds.

        They stand before whatever is put later, so no later append is acknowledged without them. That the disk did not
        take them nobody is told.
        """
        if self._over:
            raise self._closed()
        slot = self._slot(drafts)
        self.counts.rides += 1
        if not self._riding:
            self._late.deadline = trio.current_time() + RIDE
        self._riding.append(slot)

    async def flush(self) -> None:
        """Have what rides stored now; everything that was put before is on disk, or has failed, when this returns."""
        self.put(slot := Slot([]))
        await self._done(slot)

    def put(self, slot: Slot) -> None:
        """Have the slot stored with the next commit."""
        if self._over:
            raise self._closed()
        self._last = slot
        if self._riding:
            self._hand_over(slot)
        else:
            self._under_way += 1
            self._writer.put([slot])

    def _hand_over(self, *slots: Slot) -> None:
        riding, self._riding, self._late.deadline = self._riding, [], inf
        self._under_way += len(riding) + len(slots)
        self._writer.put([*riding, *slots])

    def _closed(self) -> Exception:
        return self._error(f"the ledger {self._path} is closed; the record was not stored")

    def _not_stored(self, error: Exception) -> Exception:
        return self._error(f"the ledger {self._path} did not store the record: {error}")

    def _slot(self, drafts: Sequence[Draft], *, once: bool = False) -> Slot:
        try:
            return Slot([(d.book, d.kind, d.key, self._cut(encode(d.data))) for d in drafts], once=once)
        except Exception as error:
            raise self._error(f"the ledger {self._path} did not store the record: {error!r}") from error

    async def _done(self, slot: Slot) -> list[Record]:
        """Wait until the slot is stored or has failed, cancelled or not: accepted work is never "maybe"."""
        slot.waiting = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        if slot.error:
            raise slot.error
        return slot.records

    async def run(self) -> None:
        """Commit what is put, in order, for as long as the kernel lives; cancelled, it commits what still waits."""
        token = trio.lowlevel.current_trio_token()
        running.add(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, lambda batch: token.run_sync_soon(self._stored, batch))
                try:
                    await self._mind_the_late()
                finally:
                    last = None
                    while last is not self._last or self._riding:  # whoever is answered may have more to store
                        self.put(last := Slot([]))
                        await self._done(last)
                    self._over = True
                    self._writer.put(None)
        finally:
            running.discard(self)
            self._continuity.close()
            self._read.close()
            self._db.close()

    async def _serve(self, stored: Callable[[list[Slot]], object]) -> None:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._writer.serve, stored, limiter=trio.CapacityLimiter(1))

    async def _mind_the_late(self) -> None:
        while True:
            with trio.CancelScope(deadline=trio.current_time() + RIDE if self._riding else inf) as self._late:
                await trio.sleep_forever()
            self._hand_over()

    @property
    def busy(self) -> bool:
        """Whether something is being stored just now."""
        return self._under_way > 0

    def _stored(self, batch: list[Slot]) -> None:
        self._under_way -= len(batch)
        for slot in batch:
            if slot.records:
                self._told(slot.records, {record.book for record in slot.records})
            if slot.waiting:
                trio.lowlevel.reschedule(slot.waiting)
            elif slot.error:
                _log.error("%s", slot.error)

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
