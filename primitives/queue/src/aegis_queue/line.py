"""The tasks of one queue that wait, in order: who may run next, and when the next one may."""

from __future__ import annotations

import heapq
from collections import Counter

from aegis_queue.task import Task

_SLACK = 100  # places in the line that may be of tasks which left it


class Line:
    """By priority, then by arrival; those that are not due yet stand aside. What left the line is passed over."""

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
        self._stand(task)
        if len(self._ready) + len(self._later) > 2 * len(self._tasks) + _SLACK:  # most have left the line
            self._ready, self._later = [], []
            for each in self._tasks.values():
                self._stand(each)

    def _stand(self, task: Task) -> None:
        if task.not_before:
            heapq.heappush(self._later, (task.not_before, task.id))
        else:
            heapq.heappush(self._ready, (task.rank, task.id))

    def drop(self, task_id: str) -> None:
        """Take a task out; nothing happens when it is not there."""
        if task := self._tasks.pop(task_id, None):
            self._priorities[task.priority] -= 1

    def position(self, task: Task) -> int:
        """Return how many stand before the newest task of this priority, itself counted."""
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
                self._stand(task)
        return None

    def due(self) -> str:
        """Return when the next of those that stand aside may begin, empty when none does."""
        while self._later and not self._here(self._later[0]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else ""

    def _here(self, entry: tuple[str, str]) -> bool:
        task = self._tasks.get(entry[1])
        return task is not None and task.not_before == entry[0]
