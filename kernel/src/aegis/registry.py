"""Registries whose entries have owners: what a plugin adds is taken back whole when it leaves."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from aegis.errors import AegisError, Refused

T = TypeVar("T")

# Whose doing it is when something is registered: set while a plugin enters, its tasks run and its verbs are served.
owner: ContextVar[str] = ContextVar("aegis_owner", default="")


class Owner(str):
    """A plugin from its entering to its leaving, equal to its name; when it has `left` it can add nothing any more."""

    left = False


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


def acts() -> str:
    """Return whose doing it is; raises `Refused` for a plugin that has left: nobody would take back what it adds."""
    if getattr(by := owner.get(), "left", False):
        raise Refused(f"the plugin {str(by)!r} has left; it can add nothing any more")
    return by


class Registry(Mapping[str, T]):
    """Things by name, each with the plugin that owns it (empty: the kernel); `what` names their kind in sentences.

    `changed` is called when something came or went.
    """

    def __init__(self, what: str, changed: Callable[[], object] = lambda: None) -> None:
        self.what, self._changed = what, changed
        self._held: dict[str, tuple[str, T]] = {}

    def add(self, name: str, thing: T, by: str | None = None) -> None:
        """Keep the thing for its owner (default: whoever acts now).

        Raises `Taken` with a sentence that names both plugins when the name is held already, and as `acts` does.
        """
        by = acts() if by is None else by
        if (held := self._held.get(name)) is not None:
            if held[0] == by:
                raise Taken(f"plugin {by or 'kernel'!r} offers the {self.what} {name!r} twice")
            both = f"plugins {held[0] or 'kernel'!r} and {by or 'kernel'!r} both offer the {self.what} {name!r}"
            raise Taken(f"{both}; disable one of them under plugins.disabled in .aegis.yaml")
        self._held[name] = (by, thing)
        self._changed()

    def remove(self, by: str) -> list[str]:
        """Give up everything of this owner and return the names."""
        gone = [name for name, (whose, _) in self._held.items() if whose == by]
        for name in gone:
            del self._held[name]
        if gone:
            self._changed()
        return gone

    def owners(self) -> dict[str, str]:
        """Return the owner of each name."""
        return {name: whose for name, (whose, _) in sorted(self._held.items())}

    def __getitem__(self, name: str) -> T:
        return self._held[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._held))

    def __len__(self) -> int:
        return len(self._held)

    def values(self) -> ValuesView[T]:
        return {name: thing for name, (_, thing) in self._held.items()}.values()

    def items(self) -> ItemsView[str, T]:
        return {name: thing for name, (_, thing) in self._held.items()}.items()
