"""Registries whose entries have owners: what an owner adds is taken back whole when it leaves."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from contextvars import ContextVar, Token
from typing import TypeVar

T = TypeVar("T")

# Whose doing it is when something is registered.
owner: ContextVar[str] = ContextVar("aegis_owner", default="")


class Owner(str):
    """An owner from its entering to its leaving, equal to its name; when it has `left` it can add nothing any more."""

    left = False


class Taken(Exception):
    """Two owners offer the same thing."""


class Left(Exception):
    """An owner that has left adds something."""


class acting:  # noqa: N801 - it is used as a function, at every call of a verb: a generator would take three times as long
    """Have everything registered inside belong to this owner."""

    __slots__ = ("_by", "_token")
    _token: Token[str]

    def __init__(self, by: str) -> None:
        self._by = by

    def __enter__(self) -> None:
        self._token = owner.set(self._by)

    def __exit__(self, *error: object) -> None:
        owner.reset(self._token)


def acts(error: type[Exception] = Left) -> str:
    """Return whose doing it is; raises `error` for an owner that has left: nobody would take back what it adds."""
    if getattr(by := owner.get(), "left", False):
        raise error(f"the plugin {str(by)!r} has left; it can add nothing any more")
    return by


class Registry(Mapping[str, T]):
    """Things by name, each with the plugin that owns it (empty: the kernel); `what` names their kind in sentences.

    `changed` is called when something came or went. `taken` and `left` are the errors it raises.
    """

    taken: type[Exception] = Taken
    left: type[Exception] = Left

    def __init__(self, what: str, changed: Callable[[], object] = lambda: None) -> None:
        self.what, self._changed = what, changed
        self._held: dict[str, tuple[str, T]] = {}

    def add(self, name: str, thing: T, by: str | None = None) -> None:
        """Keep the thing for its owner (default: whoever acts now).

        Raises `taken` with a sentence that names both plugins when the name is held already, and `left` as `acts` does.
        """
        by = acts(self.left) if by is None else by
        if (held := self._held.get(name)) is not None:
            if held[0] == by:
                raise self.taken(f"plugin {by or 'kernel'!r} offers the {self.what} {name!r} twice")
            both = f"plugins {held[0] or 'kernel'!r} and {by or 'kernel'!r} both offer the {self.what} {name!r}"
            raise self.taken(f"{both}; disable one of them under plugins.disabled in .aegis.yaml")
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
