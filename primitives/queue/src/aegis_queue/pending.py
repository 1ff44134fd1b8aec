"""The pending tasks of one queue, in order: which may run next, and when. Of each there is only what that takes."""

from __future__ import annotations

import heapq
from itertools import islice
from sys import intern

import msgspec
from sortedcontainers import SortedList  # type: ignore[import-untyped]

from aegis_queue.task import Task

_SLACK = 100  # entries that may belong to tasks which are pending no more
_ARRIVALS = 53  # bits of a rank that are the place in the order of arrival


class Waiting(msgspec.Struct, order=True, array_like=True, gc=False):
    """A pending task, without its payload; sorted, they stand as they stand in their queue.

    `agent` is whose act it is, `former` who had it in the attempt before; `free` says that it waits for nothing but its
    time and a worker.
    """

    rank: int
    id: str
    queue: str
    agent: str = ""
    former: str = ""
    not_before: str = ""
    after: tuple[str, ...] = ()
    free: bool = False


def waiting(task: Task) -> Waiting:
    """Return the entry of a pending task."""
    rank = (-task.priority << _ARRIVALS) + task.seq
    return Waiting(rank, task.id, task.queue, task.agent, task.former, task.not_before, task.after)


def shared(entry: Waiting) -> Waiting:
    """Return the entry with words that others have, too, kept once for all."""
    entry.queue, entry.agent, entry.not_before = intern(entry.queue), intern(entry.agent), intern(entry.not_before)
    entry.free = False
    return entry


class Pending:
    """By priority, then by arrival; tasks that are not due yet are kept apart. Those not free any more are skipped."""

    def __init__(self) -> None:
        self._order = SortedList()
        self._ready: list[Waiting] = []
        self._later: list[tuple[str, Waiting]] = []
        self._free = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, entry: Waiting) -> None:
        """Give it its place; it may not begin yet."""
        self._order.add(entry)

    def remove(self, entry: Waiting) -> None:
        """Take it out for good."""
        self.hold(entry)
        self._order.remove(entry)

    def free(self, entry: Waiting) -> None:
        """Let it begin, at once or from the time before which it may not."""
        if not entry.free:
            entry.free = True
            self._free += 1
            self._push(entry)
            if len(self._ready) + len(self._later) > 2 * self._free + _SLACK:  # most entries are of others
                self._ready, self._later = [], []
                for each in self._order:
                    if each.free:
                        self._push(each)

    def hold(self, entry: Waiting) -> None:
        """Let it not begin, though it keeps its place."""
        self._free -= entry.free
        entry.free = False

    def _push(self, entry: Waiting) -> None:
        if entry.not_before:
            heapq.heappush(self._later, (entry.not_before, entry))
        else:
            heapq.heappush(self._ready, entry)

    def position(self, entry: Waiting) -> int:
        """Return its place, counted from 1."""
        return int(self._order.bisect_right(entry))

    def page(self, count: int) -> list[Waiting]:
        """Return those that stand first."""
        return list(islice(self._order, count))

    def first(self, now: str) -> Waiting | None:
        """Return the one that may begin now, if any."""
        while self._later and (self._later[0][0] <= now or not self._later[0][1].free):
            _, entry = heapq.heappop(self._later)
            if entry.free:
                heapq.heappush(self._ready, entry)
        while self._ready:
            entry = self._ready[0]
            if entry.free and entry.not_before <= now:
                return entry
            heapq.heappop(self._ready)
            if entry.free:  # it was due once: the clock was set back
                self._push(entry)
        return None

    def due(self) -> str:
        """Return when the next one that is not due yet may begin, empty when there is none."""
        while self._later and not self._later[0][1].free:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else ""
