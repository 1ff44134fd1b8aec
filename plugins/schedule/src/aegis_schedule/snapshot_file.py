"""The file `schedules.snapshot.json`: how each schedule stands, for screens outside aegis. It is never read back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import trio

from aegis_private.folder import Folder

_PAUSE = 1.0  # seconds between two writings


class SnapshotFile:
    """Writes what `rows` returns, all at once, soon after it is said to have changed."""

    def __init__(self, path: Path, rows: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        self._path, self._rows, self._changed = path, rows, trio.Event()

    def changed(self) -> None:
        """Have it written soon."""
        self._changed.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            text = json.dumps({"version": 1, "schedules": dict(self._rows())}, indent=1, sort_keys=True) + "\n"
            await trio.to_thread.run_sync(self._write, text)
            await trio.sleep(_PAUSE)

    def _write(self, text: str) -> None:
        fresh = f".{self._path.name}.new"
        with Folder.open(self._path.parent) as folder:
            fd = folder.open_file(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
        (self._path.parent / fresh).replace(self._path)


def rows(states: Iterator[tuple[str, Any, Any]]) -> dict[str, dict[str, Any]]:
    """Return what stands in the file for each name, its state and when it is due next."""
    return {
        name: {
            "next_fire": due.isoformat() if due else None,
            "fire_count": state.fires + state.by_hand,
            "in_flight": sorted(state.running),
            "queued": len(state.queued),
            "last_status": state.last_status,
            "last_completed_at": state.last_completed_at,
        }
        for name, state, due in states
    }
