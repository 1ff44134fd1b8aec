"""The files of a project's state: how large they are, and the transcripts of agents that are gone."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

TRANSCRIPTS = "sessions"


def sizes(state: Path) -> dict[str, int]:
    """Return the bytes of each thing in the state folder: of a folder all that is in it."""
    found = dict[str, int]()
    for entry in sorted(state.iterdir()):
        if not entry.is_symlink():
            files = entry.rglob("*") if entry.is_dir() else [entry]
            found[entry.name] = sum(file.lstat().st_size for file in files if file.is_file())
    return found


def remove_transcripts(state: Path, living: Collection[str], until: float) -> int:
    """Remove the files of transcripts that nobody has added to since then, of agents that are gone; return how many."""
    gone, folder = 0, state / TRANSCRIPTS
    # Those of workers are many in one file, with an index beside it.
    for file in [*folder.glob("*.jsonl"), *(folder / "ended").glob("*.jsonl")]:
        if file.stem not in living and not file.is_symlink() and file.stat().st_mtime < until:
            file.with_suffix(".index").unlink(missing_ok=True)
            file.unlink(missing_ok=True)
            gone += 1
    return gone
