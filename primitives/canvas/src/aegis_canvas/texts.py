"""Every section text that was ever written, stored once under its hash.

A record `text` has a whole section, or what is new in it compared with an older one that begins and ends the same. A
chain of such differences is never longer than `_CHAIN`, so that reading takes few look-ups.
"""

from __future__ import annotations

import hashlib
from typing import Any

from aegis import LedgerError
from aegis.ledger import Book, Draft

_CHAIN = 16
_WORTH_IT = 400  # characters that a difference must save


def digest(data: str | bytes) -> str:
    """Return the hash under which a section, or a whole file, is known."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:32]


class Texts:
    """The section texts in the book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def drafts(self, new: dict[str, str], olds: dict[str, str]) -> list[Draft]:
        """Return the records that store these sections, given their older texts; a known text needs none."""
        found: dict[str, Draft] = {}
        for section, text in new.items():
            key = digest(text)
            if key not in found and not self._book.find(key):
                found[key] = self._book.draft("text", key, **self._kept(text, olds.get(section, "")))
        return list(found.values())

    def _kept(self, text: str, old: str) -> dict[str, object]:
        head = _alike(old, text)
        tail = _alike(old[head:][::-1], text[head:][::-1])
        base = self._book.find(digest(old)) if head + tail >= _WORTH_IT else []
        depth = base[0].data.get("depth", 0) + 1 if base else 0
        if not base or depth > _CHAIN:
            return {"text": text}
        middle = text[head : len(text) - tail]
        return {"base": base[0].key, "head": head, "tail": tail, "text": middle, "depth": depth}

    def get(self, key: str) -> str:
        """Return the text with this hash; raises `LedgerError` when the book does not have it."""
        records = self._book.find(key)
        if not records:
            raise LedgerError(f"a text in the history of a canvas is missing ({key}); is the ledger damaged?")
        data: dict[str, Any] = records[0].data
        if "base" not in data:
            return str(data["text"])
        old = self.get(data["base"])
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
