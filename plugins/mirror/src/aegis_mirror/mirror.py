"""Each book once more as JSON lines."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aegis.jsonlines import Appender
from aegis.ledger import Ledger, Record


class Mirror:
    """Each book once more as JSON lines, for people with grep; derived after the commit, never read back."""

    def __init__(self, appender: Appender, ledger: Ledger) -> None:
        self._appender, self._ledger = appender, ledger
        self._names: dict[str, Callable[[Record], str]] = {}
        ledger.on_commit(self._committed)

    def name(self, book: str, file: Callable[[Record], str]) -> None:
        """Mirror a book's records to the files this function names (default: `books/<book>.jsonl`)."""
        self._names[book] = file

    def _committed(self, records: list[Record]) -> None:
        for record in records:
            name = self._names[record.book](record) if record.book in self._names else f"books/{record.book}.jsonl"
            line = {"v": 1, "seq": record.seq, "at": record.at, "event": record.kind, "key": record.key, **record.data}
            self._appender.buffer(name).extend(msgspec.json.encode(line, enc_hook=str) + b"\n")

    async def export(self) -> int:
        """Write the mirror anew from the ledger and return how many records it has."""
        if not self._ledger.books():
            return 0
        await self._appender.flush()
        count, fresh = 0, set[str]()
        for book in self._ledger.books():
            for record in self._ledger.select("book=? order by seq", (book,)):
                name = self._names[book](record) if book in self._names else f"books/{book}.jsonl"
                if name not in fresh:
                    fresh.add(name)
                    (self._appender.folder / name).unlink(missing_ok=True)
                self._committed([record])
                count += 1
                if count % 10_000 == 0:
                    await self._appender.flush()
        await self._appender.flush()
        return count
