"""What happened, read back from the ends of the transcripts: the newest first, so that a long history costs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from aegis.bus import Batch
from aegis.events import decode
from aegis_private.folder import open_own

_FILES, _EVENTS, _BYTES = 256, 10_000, 8 * 2**20  # at most so much is looked at, and given back
_FIRST, _BLOCK = 8 * 1024, 256 * 1024  # bytes that are read at once: at first, and at most


class _Row(msgspec.Struct):
    number: int = 0  # lines of the time when events had none are older than all that have one
    event: Any = None


_decode = msgspec.json.Decoder(_Row).decode


def replay(folder: Path, since: int, until: int) -> list[Batch]:
    """Return the events after one number up to another that are in the transcripts; the newest if they are many."""
    found: list[tuple[int, str, Any]] = []
    size = 0
    for number, agent_id, event, length in merge(*(_newest(path, since) for path in _latest(folder)), reverse=True):
        if number > until:
            continue
        size += length
        if len(found) == _EVENTS or size > _BYTES:
            break
        found.append((number, agent_id, event))
    runs = groupby(enumerate(reversed(found)), key=lambda row: (row[1][1], row[1][0] - row[0]))
    rows = [(agent_id, [row for _, row in run]) for (agent_id, _), run in runs]
    return [Batch(agent_id, tuple(decode(event) for _, _, event in run), run[-1][0]) for agent_id, run in rows]


def _latest(folder: Path) -> list[Path]:
    """Return the files that were written to last."""
    try:
        entries = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []
    return [Path(path) for _, path in sorted(entries)[-_FILES:] if path.endswith(".jsonl")]


def _newest(path: Path, since: int) -> Iterator[tuple[int, str, Any, int]]:
    """Yield (number, agent id, event, bytes) of the lines after a number, newest first."""
    for line in backwards(path):
        try:
            row = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # torn by a kill
        if row.number <= since:
            return
        yield row.number, path.stem, row.event, len(line)


def backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file from its end; one that is too long to be given back ends it."""
    at, rest, block = path.stat().st_size, b"", _FIRST
    while at and len(rest) < _BYTES:
        size = min(max(block, len(rest)), at)
        at, block = at - size, min(2 * block, _BLOCK)
        with open_own(path) as file:  # opened each time: of many files that are merged none is held open
            file.seek(at)
            rest, *lines = (file.read(size) + rest).split(b"\n")
        yield from reversed(lines)
    if not at:
        yield rest
