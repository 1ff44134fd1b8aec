"""Files of JSON lines read from their ends, so that a long history costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from aegis.events import Event, TurnStarted, decode
from aegis_private.folder import open_own

_FIRST, _BLOCK = 8 * 1024, 256 * 1024  # bytes that are read at once: at first, and at most


class _Row(msgspec.Struct):
    event: dict[str, Any]
    number: int = 0  # there was a time when events had none


_row = msgspec.json.Decoder(_Row).decode


def backwards(path: Path, longest: float = inf, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a file, or of a part of it, from its end; one that is longer than `longest` ends it."""

    def read(at: int, size: int) -> bytes:
        with open_own(path) as file:  # opened each time: of many files that are merged none is held open
            return os.pread(file.fileno(), size, begin + at)

    yield from _lines(read, (path.stat().st_size if end is None else end) - begin, longest)


def _held(path: Path) -> Iterator[bytes]:
    """Yield the lines from the end of a file that may be put aside meanwhile; a missing one has none."""
    try:
        file = open_own(path)
    except FileNotFoundError:
        return
    with file:
        yield from _lines(lambda at, size: os.pread(file.fileno(), size, at), os.fstat(file.fileno()).st_size)


def _lines(read: Callable[[int, int], bytes], at: int, longest: float = inf) -> Iterator[bytes]:
    rest, block = b"", _FIRST
    while at and len(rest) < longest:
        size = min(max(block, len(rest)), at)
        at, block = at - size, min(2 * block, _BLOCK)
        rest, *lines = (read(at, size) + rest).split(b"\n")
        yield from reversed(lines)
    if not at:
        yield rest


def whole(path: Path) -> Iterator[bytes]:
    """Yield the lines from the end of a file, and of what was put aside when it was full."""
    return chain(_held(path), _held(path.with_name(f"{path.name}.old")))


def last_turns(lines: Iterable[bytes], turns: int, most: float = inf) -> list[Event]:
    """Return what a transcript has from the beginning of so many turns before its end, or as much as `most` bytes hold.

    What was before the first turn belongs to none. Lines that are torn or damaged are passed over, and so are those
    that have been read: numbers only fall.
    """
    found: list[Event] = []
    size, begun, number = 0, 0, inf
    for line in lines:
        try:
            row = _row(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if row.number >= number:
            continue
        number = row.number or inf
        found.append(event := decode(row.event))
        size += len(line)
        if type(event) is TurnStarted:
            turns, begun = turns - 1, len(found)
        if not turns or size > most:
            return found[::-1]
    return found[:begun][::-1]


def last_lines(lines: Iterable[bytes], count: int, most: int) -> list[Any]:
    """Return the values of the last `count` lines, which come from the end, of those that `most` bytes hold."""
    found: list[Any] = []
    for line in filter(None, lines):
        most -= len(line) + 1
        if most < 0 or len(found) == count:
            break
        try:
            found.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found[::-1]
