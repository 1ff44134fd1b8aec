"""What comes next: keys by the time at which each is due."""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import count


class Timetable:
    """At most one time for each key; the next one is found without a look at the others."""

    def __init__(self) -> None:
        self._times: dict[str, tuple[datetime, int]] = {}
        self._heap: list[tuple[datetime, int, str]] = []
        self._count = count()

    def put(self, key: str, when: datetime | None) -> None:
        """Have the key due at this time and no other; with None, never."""
        self._times.pop(key, None)
        if when is not None:
            number = next(self._count)
            self._times[key] = when, number
            heapq.heappush(self._heap, (when, number, key))
        if len(self._heap) > 2 * len(self._times) + 100:  # mostly what is no longer so
            self._heap = [(when, number, key) for key, (when, number) in self._times.items()]
            heapq.heapify(self._heap)

    def when(self, key: str) -> datetime | None:
        """Return when the key is due."""
        found = self._times.get(key)
        return found[0] if found else None

    def next(self) -> datetime | None:
        """Return the time that comes first."""
        while self._heap and self._times.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> list[str]:
        """Return the keys that are due, oldest first; they have no time any more."""
        taken = []
        while (when := self.next()) is not None and when <= now:
            taken.append(key := heapq.heappop(self._heap)[2])
            del self._times[key]
        return taken

    def __len__(self) -> int:
        return len(self._times)
