"""Registries whose entries have owners: what a plugin adds is taken back whole when it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

from aegis.errors import AegisError

T = TypeVar("T")

# Whose doing it is when something is registered: set while a plugin enters, its tasks run and its verbs are served.
owner: ContextVar[str] = ContextVar("aegis_owner", default="")


class Taken(AegisError):
    """Two plugins offer the same thing."""


@contextmanager
def acting(plugin: str) -> Iterator[None]:
    """Have everything registered inside belong to this plugin."""
    token = owner.set(plugin)
    try:
        yield
    finally:
        owner.reset(token)


class Registry(Generic[T]):
    """Things by name, each with the plugin that owns it (empty: the kernel)."""

    def __init__(self, what: str, changed: Callable[[], object] = lambda: None) -> None:
        """`what` says in a sentence what is kept here; `changed` is called after every change."""
        self.what, self._changed = what, changed
        self._held: dict[str, tuple[str, T]] = {}

    def vacant(self, name: str, by: str) -> None:
        """Raise `Taken` with a sentence that names both plugins when the name is held already."""
        if (held := self._held.get(name)) is None:
            return
        if held[0] == by:
            raise Taken(f"plugin {by or 'kernel'!r} offers the {self.what} {name!r} twice")
        both = f"plugins {held[0] or 'kernel'!r} and {by or 'kernel'!r} both offer the {self.what} {name!r}"
        raise Taken(f"{both}; disable one of them under plugins.disabled in .aegis.yaml")

    def add(self, name: str, thing: T, by: str | None = None) -> None:
        """Keep the thing for its owner (default: whoever acts now); raises `Taken`."""
        by = owner.get() if by is None else by
        self.vacant(name, by)
        self._held[name] = (by, thing)
        self._changed()

    def remove(self, by: str) -> dict[str, T]:
        """Give up everything of this owner and return it."""
        gone = {name: thing for name, (whose, thing) in self._held.items() if whose == by}
        for name in gone:
            del self._held[name]
        if gone:
            self._changed()
        return gone

    def get(self, name: str) -> T | None:
        """Return the thing of this name, or None."""
        held = self._held.get(name)
        return held[1] if held else None

    def owner(self, name: str) -> str:
        """Return whose the thing is; raises `KeyError`."""
        return self._held[name][0]

    def owners(self) -> dict[str, str]:
        """Return the owner of each name."""
        return {name: whose for name, (whose, _) in sorted(self._held.items())}

    def __getitem__(self, name: str) -> T:
        return self._held[name][1]

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)

    def values(self) -> list[T]:
        """Return the things, in the order in which they came."""
        return [thing for _, thing in self._held.values()]

    def items(self) -> list[tuple[str, T]]:
        """Return names and things, in the order in which they came."""
        return [(name, thing) for name, (_, thing) in self._held.items()]
