"""The pending tasks of one queue, in order: which may run next, and when."""

from __future__ import annotations

import heapq
from collections import Counter

from aegis_queue.task import Task

_SLACK = 100  # entries that may belong to tasks which are pending no more


class Pending:
    """By priority, then by arrival; tasks that are not due yet are kept apart. Removed ones are skipped."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._ready: list[tuple[tuple[int, int], str]] = []
        self._later: list[tuple[str, str]] = []
        self._priorities: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._tasks)

    def put(self, task: Task) -> None:
        """Add a task, which is ready or has a time before which it may not begin."""
        self.drop(task.id)
        self._tasks[task.id] = task
        self._priorities[task.priority] += 1
        self._push(task)
        if len(self._ready) + len(self._later) > 2 * len(self._tasks) + _SLACK:  # most entries are of removed tasks
            self._ready, self._later = [], []
            for each in self._tasks.values():
                self._push(each)

    def _push(self, task: Task) -> None:
        if task.not_before:
            heapq.heappush(self._later, (task.not_before, task.id))
        else:
            heapq.heappush(self._ready, (task.rank, task.id))

    def drop(self, task_id: str) -> None:
        """Remove a task; nothing happens when it is not there."""
        if task := self._tasks.pop(task_id, None):
            self._priorities[task.priority] -= 1

    def position(self, task: Task) -> int:
        """Return the position of the newest task of this priority, counted from 1."""
        return sum(count for priority, count in self._priorities.items() if priority >= task.priority)

    def first(self, now: str) -> Task | None:
        """Return the task that may begin now, if any."""
        while self._later and (self._later[0][0] <= now or not self._here(self._later[0])):
            due, task_id = heapq.heappop(self._later)
            if self._here((due, task_id)):
                heapq.heappush(self._ready, (self._tasks[task_id].rank, task_id))
        while self._ready:
            task = self._tasks.get(self._ready[0][1])
            if task and task.not_before <= now:
                return task
            heapq.heappop(self._ready)
            if task:  # it was due once: the clock was set back
                self._push(task)
        return None

    def due(self) -> str:
        """Return when the next task that is not due yet may begin, empty when there is none."""
        while self._later and not self._here(self._later[0]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else ""

    def _here(self, entry: tuple[str, str]) -> bool:
        task = self._tasks.get(entry[1])
        return task is not None and task.not_before == entry[0]
