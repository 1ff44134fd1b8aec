"""Every section text that was ever written, stored once under its hash.

A record `text` has a whole section, or what is new in it compared with an older one that begins and ends the same. A
chain of such differences is never longer than `_CHAIN`, so that reading takes few look-ups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from aegis import LedgerError
from aegis.ledger import Book, Draft, Record

Select = Callable[..., Iterator[Record]]
_CHAIN = 16
_WORTH_IT = 400  # characters that a difference must save
_NEWEST = 10_000  # texts


def digest(data: str | bytes) -> str:
    """Return the hash under which a section, or a whole file, is known."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:32]


class Texts:
    """The section texts in the book."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._depths: dict[str, int] = {}  # of the newest texts, how long the chain is; older ones are kept once more

    def note(self, record: Record) -> None:
        """Take in that a text is in the book."""
        self._depths[record.key] = record.data.get("depth", 0)
        if len(self._depths) > _NEWEST:
            del self._depths[next(iter(self._depths))]

    def drafts(self, new: dict[str, str], olds: dict[str, str]) -> list[Draft]:
        """Return the records that store these sections, given their older texts; a text known to be there needs none.

        It reads nothing, and may be called in a thread.
        """
        found: dict[str, Draft] = {}
        for section, text in new.items():
            key = digest(text)
            if key not in found and key not in self._depths:
                found[key] = self._book.draft("text", key, **self._kept(text, olds.get(section, "")))
        return list(found.values())

    def _kept(self, text: str, old: str) -> dict[str, object]:
        base = digest(old) if old else ""
        depth = self._depths.get(base, _CHAIN) + 1
        head = _alike(old, text) if depth <= _CHAIN else 0
        tail = _alike(old[head:][::-1], text[head:][::-1]) if depth <= _CHAIN else 0
        if head + tail < _WORTH_IT:
            return {"text": text}
        return {"base": base, "head": head, "tail": tail, "text": text[head : len(text) - tail], "depth": depth}

    def get(self, key: str, select: Select | None = None) -> str:
        """Return the text with this hash; raises `LedgerError` when the book does not have it."""
        where = "book=? and key=? order by seq limit 1"
        records = list(select(where, self._book.name, key)) if select else self._book.find(key)
        if not records:
            raise LedgerError(f"a text in the history of a canvas is missing ({key}); is the ledger damaged?")
        data: dict[str, Any] = records[0].data
        if "base" not in data:
            return str(data["text"])
        old = self.get(data["base"], select)
        head, tail = old[: data["head"]], old[len(old) - data["tail"] :]
        return f"{head}{data['text']}{tail}"


def _alike(a: str, b: str) -> int:
    """Return how many characters both texts begin with."""
    low, high = 0, min(len(a), len(b))
    while low < high:  # comparing slices is much faster than comparing characters one by one
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
