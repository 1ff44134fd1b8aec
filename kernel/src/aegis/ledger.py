"""The ledger of a project: durable books, whose listeners belong to plugins and go with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aegis.errors import LedgerError
from aegis.registry import acting, acts
from aegis_ledger import ledger
from aegis_ledger.book import Book, Draft, Record
from aegis_ledger.ledger import Tell

__all__ = ["Book", "Draft", "Ledger", "Record"]


class Ledger(ledger.Ledger):
    """Every book of one project; raises `LedgerError`."""

    def __init__(self, path: Path, now: Callable[[], str], cut: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(path, now, cut, LedgerError, "aegis ledger accept")
        self.owners: list[tuple[str, Tell]] = []

    def on_commit(self, tell: Tell, book: str = "") -> None:
        """Have `tell` called with each group of records (or each with one of a book), in order, once it is on disk."""
        whose = acts()

        def told(records: list[Record]) -> None:
            with acting(whose):
                tell(records)

        super().on_commit(told, book)
        self.owners.append((whose, told))

    def remove(self, by: str) -> None:
        """Tell the listeners of this owner no more."""
        gone = [told for whose, told in self.owners if whose == by]
        self.owners = [(whose, told) for whose, told in self.owners if whose != by]
        self.listeners = [(book, told) for book, told in self.listeners if told not in gone]
