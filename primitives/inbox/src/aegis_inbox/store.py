"""Which messages there are: their ids, out of the kernel's book of mail."""

from __future__ import annotations

from aegis import Kernel

_LOOKED_AT = 1000  # messages, when an id is looked for by its beginning


class MessageIds:
    """Ids of messages, newest first."""

    def __init__(self, kernel: Kernel) -> None:
        self._book = kernel.ledger.book("mail")

    def newest(self, count: int, *, dead: bool = False) -> list[str]:
        """Return the ids of the newest messages, or of the newest dead letters."""
        return [record.key for record in self._book.newest("dead" if dead else "accepted", count)]

    def beginning_with(self, start: str) -> list[str]:
        """Return those of the newest messages whose id begins like this."""
        return [found for found in self.newest(_LOOKED_AT) if start and found.startswith(start)]
