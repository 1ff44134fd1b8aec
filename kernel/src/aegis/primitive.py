"""What a primitive package offers: one way of working together."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Primitive(Protocol):
    """An object whose `@verb` methods callers may use; it may also be one that `Restores`, or one that `Runs`."""

    name: str


@runtime_checkable
class Restores(Protocol):
    """It has a state, and rebuilds it from its book before anything runs."""

    def restore(self) -> None: ...


@runtime_checkable
class Runs(Primitive, Protocol):
    """It runs for as long as the kernel lives; supervised, its verbs are withdrawn while it is down."""

    async def run(self) -> None: ...
