"""A private folder for what lives as long as a process does: sockets and pipes, at a path short enough for them.

It is a fresh one, below `$XDG_RUNTIME_DIR` or else in a folder for temporary files, so that nobody can have made it
before. A lock holds it; those that a killed process left are known by not being held, and are removed by the next
process, before it makes its first one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aegis_private.folder import Folder
from aegis_private.ownership import NotPrivate, why_movable, why_not_ours

LONGEST = 100  # bytes of a socket's path; the system's own limit is 108 on Linux and 104 on macOS
_ROOM = 40  # of them for the folder's own name, and a socket's in it
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")
_swept: set[tuple[Path, str]] = set()  # where this process has looked already: what it leaves the next one removes


def fits(path: Path) -> bool:
    """Return whether a socket can have this path."""
    return len(os.fsencode(path)) <= LONGEST


@contextmanager
def runtime_folder(name: str, error: type[Exception] = NotPrivate, *, large: bool = False) -> Iterator[Folder]:
    """Enter a fresh folder that is this user's alone; it is gone afterwards. Raises the error with what was tried.

    One that may grow `large` is in a folder for temporary files: `$XDG_RUNTIME_DIR` is often a small part of memory.
    """
    with _fresh(name, error, large) as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder.path, ignore_errors=True)


def _fresh(name: str, error: type[Exception], large: bool) -> Folder:
    tried: list[str] = []
    for base in _bases(large):
        try:
            if why := _why_not(base):
                raise OSError(0, why)
            _sweep(base, name)
            while True:
                folder = Folder.open(Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base)), error)
                if _held(folder):
                    return folder
        except OSError as failure:
            tried.append(f"{base}: {failure.strerror}")
    raise error(f"there is no place for sockets ({'; '.join(tried)}); set XDG_RUNTIME_DIR to a folder of yours")


def _bases(large: bool) -> Iterator[Path]:
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    own, others = (given,) if given.startswith("/") else (), (tempfile.gettempdir(), *_TEMPORARY)
    given_or_found = map(os.path.realpath, (*others, *own) if large else (*own, *others))  # a link could be exchanged
    yield from map(Path, dict.fromkeys(given_or_found))


def _why_not(base: Path) -> str:
    """Return why no folder in there is of use: others could take it away, or a socket's path would be too long."""
    seen = base.stat()
    sticky = bool(seen.st_mode & stat.S_ISVTX) and seen.st_uid in (0, os.geteuid())
    if "\n" in str(base):
        return "its path has a line end"
    too_long = len(os.fsencode(base)) + _ROOM > LONGEST
    return "its path is too long" if too_long else ("" if sticky else why_not_ours(base, seen)) or why_movable(base)


def _held(folder: Folder) -> bool:
    """Hold the folder until it is closed, unless somebody removes it at this moment."""
    os.fchmod(folder.fd, 0o700)
    try:
        fcntl.flock(folder.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return os.path.samestat(folder.path.stat(), os.fstat(folder.fd))
    except OSError:
        return False


def _sweep(base: Path, name: str) -> None:
    """Remove this user's folders of this name that nobody holds, once in the life of the process."""
    if (base, name) in _swept:
        return
    _swept.add((base, name))
    ours = re.compile(re.escape(name) + r"-[a-z0-9_]{8}")
    for found in os.scandir(base):
        if ours.fullmatch(found.name) and found.is_dir(follow_symlinks=False):
            with suppress(OSError):
                descriptor = os.open(found.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if os.fstat(descriptor).st_uid == os.geteuid():
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(found.path, ignore_errors=True)
                finally:
                    os.close(descriptor)
