"""What happened, read back from the ends of the transcripts: the newest first, so that a long history costs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import msgspec

from aegis.bus import Batch
from aegis.events import decode
from aegis_records.backwards import backwards
from aegis_records.ended import Ended

_FILES, _EVENTS, _BYTES = 256, 10_000, 8 * 2**20  # at most so much is looked at, and given back


class _Row(msgspec.Struct):
    number: int = 0  # lines of the time when events had none are older than all that have one
    event: Any = None


_decode = msgspec.json.Decoder(_Row).decode


def replay(folder: Path, since: int, until: int) -> list[Batch]:
    """Return the events after one number up to another that are in the transcripts; the newest if they are many."""
    found: list[tuple[int, str, Any]] = []
    size = 0
    ends = [_newest(path.stem, backwards(path, _BYTES), since) for path in _latest(folder)]
    ends += [_newest(part.agent_id, part.lines(), since) for part in islice(Ended(folder).since(since), _FILES)]
    for number, agent_id, event, length in merge(*ends, reverse=True):
        if number > until or (found and number == found[-1][0]):
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


def _newest(agent_id: str, lines: Iterable[bytes], since: int) -> Iterator[tuple[int, str, Any, int]]:
    """Yield (number, agent id, event, bytes) of the lines after a number, which come from the end."""
    for line in lines:
        try:
            row = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # torn by a kill
        if row.number <= since:
            return
        yield row.number, agent_id, row.event, len(line)
