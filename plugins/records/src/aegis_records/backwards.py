"""Files of JSON lines read from their ends, so that a long history costs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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


_row = msgspec.json.Decoder(_Row).decode


def backwards(path: Path, longest: float = inf) -> Iterator[bytes]:
    """Yield the lines of a file from its end; one that is longer than `longest` ends it."""

    def read(at: int, size: int) -> bytes:
        with open_own(path) as file:  # opened each time: of many files that are merged none is held open
            file.seek(at)
            return file.read(size)

    yield from _lines(read, path.stat().st_size, longest)


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


def _whole(path: Path) -> Iterator[bytes]:
    """Yield the lines from the end of a file, and of what was put aside when it was full."""
    return chain(_held(path), _held(path.with_name(f"{path.name}.old")))


def last_turns(path: Path, turns: int, most: float = inf) -> list[Event]:
    """Return what a transcript has from the beginning of so many turns before its end, or as much as `most` bytes hold.

    What was before the first turn belongs to none. Lines that are torn or damaged are passed over.
    """
    found: list[Event] = []
    size = begun = 0
    for line in _whole(path):
        try:
            event = decode(_row(line).event)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        found.append(event)
        size += len(line)
        if type(event) is TurnStarted:
            turns, begun = turns - 1, len(found)
        if not turns or size > most:
            return found[::-1]
    return found[:begun][::-1]


def last_lines(path: Path, count: int, most: int) -> list[Any]:
    """Return the values of the last `count` lines, of those that lie within the last `most` bytes."""
    found: list[Any] = []
    for line in filter(None, _whole(path)):
        most -= len(line) + 1
        if most < 0 or len(found) == count:
            break
        try:
            found.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found[::-1]
