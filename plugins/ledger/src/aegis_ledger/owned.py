"""What is added to a ledger by plugins and goes with them: who hears of commits, and what of a book may go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from aegis_ledger.book import Keeper, Record
from aegis_registry.registry import Left, acting, acts

Tell = Callable[[list[Record]], object]
_log = logging.getLogger(__name__)


class Owned:
    """Listeners and keepers, each with whose it is."""

    left: type[Exception] = Left

    def __init__(self) -> None:
        self.owners: list[tuple[str, str, Tell]] = []  # whose, the book (empty: all), what is called
        self.keepers: dict[str, Keeper] = {}  # what of each book may go
        self._kept_for: dict[str, str] = {}

    def on_commit(self, tell: Tell, book: str = "") -> None:
        """Have `tell` called with each group of records, in order, once it is on disk and before anyone is answered.

        With a `book` only with those that have a record of it. It belongs to whoever acts now.
        """
        self.owners.append((acts(self.left), book, tell))

    def keep(self, book: str, keeper: Keeper) -> None:
        """Have `compaction.compact` take out of a book what its keeper says."""
        self.keepers[book], self._kept_for[book] = keeper, acts(self.left)

    def remove(self, by: str) -> None:
        """Tell the listeners of this owner no more, and take nothing out of its books."""
        self.owners = [held for held in self.owners if held[0] != by]
        self.keepers = {book: keeper for book, keeper in self.keepers.items() if self._kept_for[book] != by}

    def _told(self, records: list[Record], books: Iterable[str]) -> None:
        """Call the listeners of these books."""
        for whose, book, tell in list(self.owners):
            if not book or book in books:
                try:
                    with acting(whose):
                        tell(records)
                except Exception:  # noqa: BLE001 - a listener's mistake must not cost anyone a record
                    _log.exception("a listener of the ledger failed")
