"""Where the files are that a request names: resolved, so that neither `..` nor a link leads anywhere unseen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def place(folder: Path, path: str) -> Path | None:
    """Return the file a path of an agent in this folder stands for, None for one that may stand for another."""
    if path.startswith("~") or "://" in path:  # some CLIs expand it, some do not
        return None
    try:
        return (folder.resolve() / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a path that is none
        return None


def inside(folder: Path, paths: Sequence[str]) -> bool:
    """Return whether every path is in the folder."""
    home = folder.resolve()
    return all((found := place(folder, path)) and found.is_relative_to(home) for path in paths)


def guarded(root: Path, folder: Path, paths: Sequence[str]) -> bool:
    """Return whether one of the paths is of aegis's own settings or state: who writes there gives itself leave."""
    own = (root.resolve() / ".aegis.yaml", root.resolve() / ".aegis")
    places = (place(folder, path) for path in paths)
    return any(found is None or any(found.is_relative_to(one) for one in own) for found in places)


def spelled(folder: Path, path: str) -> str:
    """Return the path as rules write it: `./src/a.py` in the agent's folder, absolute elsewhere, empty if unclear."""
    found, home = place(folder, path), folder.resolve()
    if found is None:
        return ""
    return f"./{found.relative_to(home).as_posix()}" if found.is_relative_to(home) else found.as_posix()
