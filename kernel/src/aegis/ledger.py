"""The ledger of a project: durable books, whose listeners belong to plugins and go with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aegis.errors import LedgerError
from aegis.registry import acting, acts
from aegis_ledger import ledger
from aegis_ledger.book import Book, Draft, Record

__all__ = ["Book", "Draft", "Ledger", "Record"]

Tell = Callable[[list[Record]], object]


class Ledger(ledger.Ledger):
    """Every book of one project; raises `LedgerError`."""

    def __init__(self, path: Path, now: Callable[[], str], cut: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(path, now, cut, LedgerError, "aegis ledger accept")
        self.owners: list[tuple[str, Tell]] = []

    def on_commit(self, tell: Tell) -> None:
        """Have `tell` called with each group of records, in order, once it is on disk and before anyone is answered."""
        whose = acts()

        def told(records: list[Record]) -> None:
            with acting(whose):
                tell(records)

        super().on_commit(told)
        self.owners.append((whose, told))

    def remove(self, by: str) -> None:
        """Tell the listeners of this owner no more."""
        gone = [told for whose, told in self.owners if whose == by]
        self.owners = [(whose, told) for whose, told in self.owners if whose != by]
        self.listeners = [told for told in self.listeners if told not in gone]
