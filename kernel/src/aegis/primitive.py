"""What a primitive package offers: one way of working together."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class Primitive(Protocol):
    """An object whose `@verb` methods callers may use; it may also have any of the optional parts below.

    restore()        sync: rebuild state from its book, before anything runs
    run()            async: for as long as the kernel lives; supervised, its verbs are withdrawn while it is down
    """

    name: str


@runtime_checkable
class Restores(Protocol):
    """Optional: state that is a fold over a book."""

    def restore(self) -> None:
        """Rebuild the state; called once, after the ledger is open and before any task or verb runs."""
