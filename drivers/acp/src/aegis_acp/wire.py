"""Lines of an ACP agent, made fit to be read. No I/O, no meaning."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

_KEPT = 4_000  # characters of a line that is no message


def lines(batch: Iterable[bytes]) -> list[bytes]:
    """Return the lines that say something; half a surrogate pair, as JavaScript writes it, stands for no character."""
    return [_mended(line) if b"\\u" in line else line for line in batch if line.strip()]


def _mended(line: bytes) -> bytes:
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        try:
            return json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace")
        except (ValueError, RecursionError):
            pass
    return line


def shown(line: bytes) -> str:
    """Return a line that is no message as text of a length that can be shown."""
    words = line[: 4 * _KEPT].decode(errors="replace")[:_KEPT]
    return words if len(line) <= len(words.encode()) else f"{words}... [line of {len(line)} bytes]"


def sayable(words: str) -> str:
    """Return the words without halves of surrogate pairs, which no JSON can carry."""
    return words.encode(errors="replace").decode()
