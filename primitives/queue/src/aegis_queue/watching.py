"""Waiting until a task changes, without missing a change and without asking again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from aegis_queue.task import Task

_ENDED = 500  # ended tasks whose ids are known without asking the broker


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
    """Who waits for a change of which task, and which tasks were seen: those not ended, and those that ended last."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = {}
        self._active: dict[str, None] = {}
        self._ended: deque[str] = deque(maxlen=_ENDED)

    def see(self, task: Task) -> None:
        """Take in the task as it is now."""
        if not task.over:
            self._active[task.id] = None
        elif task.id in self._active or task.id not in self._ended:
            self._active.pop(task.id, None)
            self._ended.append(task.id)
        for watch in self._watches.get(task.id, ()):
            watch.tell()

    def ids(self) -> list[str]:
        """Return the ids of the tasks that were seen: those not ended, then the others, the newest first."""
        return list(dict.fromkeys([*self._active, *reversed(self._ended)]))

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
