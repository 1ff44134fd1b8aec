"""The marks (OSC 133) that our shells put into the output of a terminal."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

_MARK = re.compile(rb"\x1b\]133;([ABCD])(?:;([^;\x07\x1b]{0,20}))?;aegis=([0-9a-f]{32})(?:\x07|\x1b\\)")
_BEGUN = re.compile(rb"\x1b(?:\](?:1(?:3(?:3(?:;[^\x07\x1b]{0,80}\x1b?)?)?)?)?)?\Z")  # may be the beginning of a mark
_LONGEST = 96


class Mark(NamedTuple):
    """`A` prompt, `B` the command is taken, `C` its output begins, `D` it has ended; `key` proves who made the mark."""

    kind: str
    key: str
    code: int | None = None


class Marks:
    """Finds the marks that carry a known key; all others are output like any other."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes, keys: Collection[str]) -> list[bytes | Mark]:
        """Return output and marks in order; an unfinished mark is held back until its end comes."""
        data, self._rest = self._rest + data, b""
        if b"\x1b" not in data:
            return [data] if data else []
        parts: list[bytes | Mark] = []
        done = 0
        for match in _MARK.finditer(data):
            kind, code, key = match[1].decode(), match[2] or b"", match[3].decode()
            if key in keys:
                parts += [data[done : match.start()], Mark(kind, key, int(code) if code.isdigit() else None)]
                done = match.end()
        left = data[done:]
        if begun := _BEGUN.search(left, max(0, len(left) - _LONGEST)):
            left, self._rest = left[: begun.start()], left[begun.start() :]
        return [part for part in (*parts, left) if part]
