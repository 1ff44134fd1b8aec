"""Waiting until a task changes, without missing a change and without asking again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from aegis_queue.task import Task

_KNOWN = 500  # tasks that have not ended, and as many ended ones, whose ids are at hand


class Watch:
    """Tells its holder when a task changes."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def tell(self) -> None:
        """Note a change."""
        self._event.set()

    async def changed(self) -> None:
        """Return once the task has changed since the watch began, or since the last return."""
        await self._event.wait()
        self._event = trio.Event()


class Watching:
    """Who waits for a change of which task, and the ids seen last: of tasks not ended, and of those that ended."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = {}
        self._active: dict[str, None] = {}
        self._ended: deque[str] = deque(maxlen=_KNOWN)

    def see(self, task: Task) -> None:
        """Take in the task as it is now."""
        was_here = self._active.pop(task.id, "") is None
        if not task.over:
            self.know(task.id)
        elif was_here or task.id not in self._ended:
            self._ended.append(task.id)
        for watch in self._watches.get(task.id, ()):
            watch.tell()

    def know(self, task_id: str) -> None:
        """Have the id of a task that has not ended at hand, instead of the one that was seen longest ago."""
        self._active[task_id] = None
        if len(self._active) > _KNOWN:
            del self._active[next(iter(self._active))]

    def ids(self) -> list[str]:
        """Return the ids of the tasks that were seen: those not ended, then the others; what was seen last is first."""
        return list(dict.fromkeys([*reversed(self._active), *reversed(self._ended)]))

    @contextmanager
    def watch(self, task_id: str) -> Iterator[Watch]:
        """Have a watch on the task inside; no change after the entering is missed."""
        watch = Watch()
        watches = self._watches.setdefault(task_id, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                del self._watches[task_id]
