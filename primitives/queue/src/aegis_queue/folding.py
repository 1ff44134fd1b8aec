"""A task as the fold of its records, and tasks that are kept whole because they are wanted next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

import msgspec

from aegis.ledger import Record
from aegis_queue.task import Task

# After one of these nothing more comes about a task, unless it is tried again.
ENDS = frozenset({"completed", "failed", "cancelled", "callback_attempted", "callback_dropped"})
BESIDE = frozenset({"known", "callback_attempted", "callback_dropped"})  # records that change no task


def enqueued(record: Record) -> Task:
    """Return the task as it was accepted."""
    return msgspec.convert({**record.data, "seq": record.seq}, Task)


def after(task: Task, record: Record) -> Task:
    """Return the task as it is after a record; a report that came too late, of an attempt that is over, is none."""
    late = record.kind == "reported" and (task.state, task.worker) != ("running", record.data["worker"])
    return task if late or record.kind in BESIDE else task.changed(record.data)


def folded(records: Iterable[Record]) -> Iterator[Task]:
    """Yield the tasks whose records these are, each task's in their order."""
    own: dict[str, list[Record]] = {}
    for record in records:
        own.setdefault(record.key, []).append(record)
    for first, *others in own.values():
        if first.kind == "enqueued":
            yield reduce(after, others, enqueued(first))


class Kept:
    """Some tasks, whole: as many as fit into so many characters. All others are read where they are stored.

    What is kept is what the book says: whoever folds a record of a task forgets it here, or keeps what it is now.
    """

    def __init__(self, most: int, size: int) -> None:
        self._most, self._size, self._has = most, size, 0
        self._tasks: dict[str, Task] = {}

    def get(self, task_id: str) -> Task | None:
        """Return the task, None when it is not among them."""
        return self._tasks.get(task_id)

    def keep(self, task: Task, *, instead: bool = False) -> None:
        """Keep this one, too, if there is room; or `instead` of those that have been here longest."""
        if task.id in self._tasks:
            self.forget(task.id)
        size = _size(task)
        while instead and self._tasks and not self._room(size):
            self.forget(next(iter(self._tasks)))
        if self._room(size):
            self._tasks[task.id] = task
            self._has += size

    def _room(self, size: int) -> bool:
        return len(self._tasks) < self._most and self._has + size <= self._size

    def forget(self, task_id: str) -> Task | None:
        """Keep it no more, and return it if it was here."""
        if task := self._tasks.pop(task_id, None):
            self._has -= _size(task)
        return task


def _size(task: Task) -> int:
    return len(task.payload) + len(task.result)
