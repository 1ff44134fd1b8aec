"""The one who commits: a thread with the connection, and every slot that waits goes into the next commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from queue import Empty, SimpleQueue

import msgspec

from aegis_ledger.book import Record, Slot
from aegis_ledger.counts import Counts

_FIELDS = "book, kind, key, at, data"
_UNLESS = "not exists (select 1 from records where book=? and key=?)"
_SNAPSHOT = "insert or replace into snapshots(book, seq, state) values (?, ?, ?)"
_MOST = 1_000  # rows of one statement


class Writer:
    """Stores slots in the order in which they are put; each learns its records or its error.

    A commit is one statement where it can be: SQLite then begins and ends the transaction itself, and the loop loses
    the interpreter once instead of four times. `now` stamps the records, `keep` is told the number of the last one.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        now: Callable[[], str],
        keep: Callable[[int], object],
        counts: Counts,
        error: Callable[[Exception], Exception],
    ) -> None:
        self._db, self._now, self._keep, self._counts, self._error = db, now, keep, counts, error
        self._slots: SimpleQueue[list[Slot] | None] = SimpleQueue()

    def put(self, slots: list[Slot] | None) -> None:
        """Have these stored side by side; None ends `serve` once everything before is stored."""
        self._slots.put(slots)

    def serve(self, stored: Callable[[list[Slot]], object]) -> None:
        """Commit what is put, and have `stored` called with the slots of each commit, until the end is put."""
        more = self._slots.get()
        while more is not None:
            batch = more
            try:
                while (more := self._slots.get_nowait()) is not None:
                    batch += more
            except Empty:
                more = []
            if any(slot.alone for slot in batch):
                for slot in batch:
                    self._commit([slot])
            elif batch and not self._commit(batch):
                for slot in batch:  # one bad row must not fail its neighbours
                    self._commit([slot])
            stored(batch)
            more = more if more is None else self._slots.get()

    def _commit(self, batch: Sequence[Slot]) -> bool:
        at = self._now()
        statements = sum(-(-len(slot.rows) // _MOST) + bool(slot.snapshot) + len(slot.work) for slot in batch)
        several = statements > 1 and not batch[0].alone
        stored: list[list[Record]] = []
        try:
            if several:
                self._db.execute("begin immediate")
            for slot in batch:
                stored.append(self._stored(slot, at))
                if slot.snapshot:
                    self._db.execute(_SNAPSHOT, slot.snapshot)
                for sql, args in slot.work:
                    done = self._db.execute(sql, args)
                    done.fetchall()  # some work is done as its rows are read
                    slot.changed += max(0, done.rowcount)
            if several:
                self._db.execute("commit")
        except Exception as error:  # noqa: BLE001 - whatever it was, each slot learns its fate
            if self._db.in_transaction:
                self._db.execute("rollback")
            for slot in batch:
                slot.error = self._error(error)
            return False
        self._counts.commits += bool(statements)
        last = 0
        for slot, records in zip(batch, stored, strict=True):
            slot.records, slot.error = records, None
            if records:
                last = records[-1].seq
                self._counts.rows += len(records)
                self._counts.written += sum(len(row[3]) for row in slot.rows)
        self._keep(last)
        return True

    def _stored(self, slot: Slot, at: str) -> list[Record]:
        records: list[Record] = []
        for begin in range(0, len(slot.rows), _MOST):
            rows = slot.rows[begin : begin + _MOST]
            values = [value for book, kind, key, data in rows for value in (book, kind, key, at, data)]
            once = slot.once and not begin
            done = self._db.execute(_insert(len(rows), once=once), (*values, *(rows[0][0:3:2] if once else ())))
            if done.rowcount <= 0:
                break
            seq = (done.lastrowid or 0) - len(rows)  # nobody else writes: the numbers of a statement follow one another
            records += [
                Record(seq + n, book, kind, key, at, msgspec.json.decode(data))  # what a replay will give, too
                for n, (book, kind, key, data) in enumerate(rows, 1)
            ]
        return records


@lru_cache(maxsize=256)
def _insert(rows: int, *, once: bool) -> str:
    values = f"values {', '.join(['(?, ?, ?, ?, ?)'] * rows)}"
    return f"insert into records({_FIELDS}) {f'select * from ({values}) where {_UNLESS}' if once else values}"
