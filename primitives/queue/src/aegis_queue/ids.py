"""Things by the ids of tasks: by a whole id, or by its end, without a look at all the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_END = 2  # characters: of 32 × 32 ends an id has one by chance


class Ids(Generic[T]):
    """A mapping in which ids with the same end are kept together."""

    def __init__(self) -> None:
        self._by_end: dict[str, dict[str, T]] = {}

    def _alike(self, task_id: str) -> dict[str, T]:
        return self._by_end.get(task_id[-_END:].upper(), {})

    def get(self, task_id: str) -> T | None:
        """Return what is kept under this id."""
        return self._alike(task_id).get(task_id)

    def put(self, task_id: str, thing: T) -> None:
        """Keep the thing under this id."""
        self._by_end.setdefault(task_id[-_END:].upper(), {})[task_id] = thing

    def pop(self, task_id: str) -> T | None:
        """Return what is kept under this id, which is forgotten."""
        return self._alike(task_id).pop(task_id, None)

    def values(self) -> list[T]:
        """Return everything."""
        return [thing for alike in self._by_end.values() for thing in alike.values()]

    def ending(self, end: str) -> Iterator[str]:
        """Yield the ids that end like this, in capitals or not."""
        wanted = end.upper()
        ends = [wanted[-_END:]] if len(wanted) >= _END else [key for key in self._by_end if key.endswith(wanted)]
        for key in ends:
            yield from (task_id for task_id in self._by_end.get(key, ()) if task_id.upper().endswith(wanted))
