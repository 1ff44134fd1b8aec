"""Files that are more than files: what agents, git, shells and builds take orders from. `governing.txt` is the list."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from unicodedata import category, normalize

GOVERNING = frozenset({".aegis", ".aegis.yaml"})  # who writes there gives itself permission
_LISTED = frozenset(
    word
    for line in files("aegis_permission").joinpath("governing.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for word in line.split()
)
DELICATE = GOVERNING | _LISTED
_PATTERNS = tuple(name for name in _LISTED if "*" in name)
_LINKS = 40  # as many as a system follows


def delicate(folder: Path, paths: Sequence[str], names: frozenset[str] = DELICATE) -> bool:
    """Return whether one of the paths is, or lies in, what others take orders from; True also for an unclear path.

    Of a file in the agent's folder only the way from there counts. A link counts by its own name and by what it is; a
    file that is there counts by its inode too, so that neither a second name nor a disk that is blind to case helps.
    """
    return any(place(folder, path) is None or _is_one(folder, path, names) for path in paths)


def governs(name: str, names: frozenset[str] = DELICATE) -> bool:
    """Return whether a file or folder of this name is one of those."""
    name = plain(name)
    return name in names or (names is DELICATE and any(fnmatchcase(name, pattern) for pattern in _PATTERNS))


def in_state(folder: Path, paths: Iterable[str]) -> bool:
    """Return whether one of the paths is, or lies in, the state of a project, which aegis keeps for itself."""
    for path in paths:
        if found := place(folder, path):
            for way in (*_ways(folder, path), found):
                if (".aegis", "state") in pairwise(plain(part) for part in way.parts):
                    return True
    return False


def place(folder: Path, path: str) -> Path | None:
    """Return the file a path of an agent in this folder stands for, links followed; None if it may be another."""
    if path.startswith("~") or "://" in path:  # some CLIs expand it, some do not
        return None
    try:
        return (folder.resolve() / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a path that is none
        return None


def plain(name: str) -> str:
    """Return the name as the most tolerant of disks compares it: neither case nor characters that nobody sees count."""
    return "".join(c for c in normalize("NFKC", name) if category(c) != "Cf").casefold()


def _is_one(folder: Path, path: str, names: frozenset[str]) -> bool:
    if any(governs(part, names) for way in _ways(folder, path) for part in way.parts):
        return True
    return not _known(folder.resolve(), path).isdisjoint(_inodes(folder.resolve(), path, names))


def _known(home: Path, path: str) -> set[tuple[int, int]]:
    """Return the file, if it has several names, and the folders on the way to it: device and inode of each."""
    found = (home / path).resolve()
    keys = set()
    for one in (found, *found.parents):
        if one == home:
            break
        if (status := _status(one)) and (one != found or status.st_nlink > 1 or _is_folder(status)):
            keys.add((status.st_dev, status.st_ino))
    return keys


def _inodes(home: Path, path: str, names: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Yield device and inode of what governs in the folder, and in the folders on the way to the file."""
    found = (home / path).resolve()
    on_the_way = [one for one in found.parents if one != home and one.is_relative_to(home)]
    for above in (home, *on_the_way, home / ".git", home / ".git" / "hooks"):
        with suppress(OSError), os.scandir(above) as entries:
            for entry in entries:
                if above.name in (".git", "hooks") or governs(entry.name, names):
                    status = entry.stat(follow_symlinks=False)  # where a link leads to keeps its own name
                    yield status.st_dev, status.st_ino


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _is_folder(status: os.stat_result) -> bool:
    return status.st_mode & 0o170000 == 0o040000


def _ways(folder: Path, path: str) -> list[Path]:
    """Return the path, from the folder if it lies there: all links followed, as it is written, and after each link."""
    homes = (folder, folder.resolve())
    ways = [(homes[1] / path).resolve(), homes[1] / path]
    while len(ways) < _LINKS and (link := next(filter(os.path.islink, (*reversed(ways[-1].parents), ways[-1])), None)):
        ways.append(link.parent / link.readlink() / ways[-1].relative_to(link))
    return [next((way.relative_to(home) for home in homes if way.is_relative_to(home)), way) for way in ways]
