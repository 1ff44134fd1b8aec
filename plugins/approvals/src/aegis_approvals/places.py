"""Where the files are that a request names, as rules write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aegis_permission.governing import GOVERNING, delicate, place


def guarded(root: Path, folder: Path, paths: Sequence[str]) -> bool:
    """Return whether one of the paths is of aegis's own settings or state: who writes there gives itself permission."""
    return delicate(folder, paths, GOVERNING) or delicate(root, [str(place(folder, path)) for path in paths], GOVERNING)


def spelled(folder: Path, path: str) -> str:
    """Return the path as rules write it: `./src/a.py` in the agent's folder, absolute elsewhere, empty if unclear."""
    found, home = place(folder, path), folder.resolve()
    if found is None:
        return ""
    return f"./{found.relative_to(home).as_posix()}" if found.is_relative_to(home) else found.as_posix()
