"""One process at a time: a lock file that says who holds it, and what others need to know to reach the holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aegis_private.folder import Folder

_MOST = 8_192  # bytes of an honest one


def told(folder: Folder, name: str) -> list[str]:
    """Return the lines of the lock file, those of the last holder too; none when there is no such file."""
    try:
        return os.fsdecode(folder.read(name, _MOST)).split("\n")[:-1]
    except FileNotFoundError:
        return []


@contextmanager
def locked(folder: Folder, name: str, busy: Callable[[list[str]], Exception]) -> Iterator[Callable[[list[str]], None]]:
    """Hold the lock; gives what writes its lines. Raises what `busy` makes of the lines of another holder."""
    descriptor = folder.open_file(name, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(told(folder, name)) from None

        def tell(lines: list[str]) -> None:
            data = os.fsencode("".join(f"{line}\n" for line in lines))
            os.pwrite(descriptor, data, 0)  # first: whoever reads at this moment finds a whole first line
            os.ftruncate(descriptor, len(data))

        yield tell
    finally:
        os.close(descriptor)


def is_held(folder: Folder, name: str) -> bool:
    """Return whether a process holds the lock."""
    try:
        descriptor = folder.open_file(name)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
