"""What a primitive package offers: one way of working together."""

from __future__ import annotations

from typing import Protocol


class Primitive(Protocol):
    """An object whose `@verb` methods callers may use; it may also have any of the optional parts below.

    restore()        sync: rebuild state from its book, before anything runs
    run()            async: for as long as the kernel lives; supervised, its verbs are withdrawn while it is down
    """

    name: str
