"""The ledger of a project: durable books, whose listeners belong to plugins and go with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aegis.errors import LedgerError, Refused
from aegis_ledger import ledger
from aegis_ledger.book import Book, Draft, Record

__all__ = ["Book", "Draft", "Ledger", "Record"]


class Ledger(ledger.Ledger):
    """Every book of one project; raises `LedgerError`."""

    left = Refused

    def __init__(self, path: Path, now: Callable[[], str], cut: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(path, now, cut, LedgerError, "aegis ledger accept")
