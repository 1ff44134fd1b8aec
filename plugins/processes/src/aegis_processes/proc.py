"""What Linux says of single processes in /proc. Each question opens the files of one process, and of no other."""

from __future__ import annotations

import os
import resource
import sys
from typing import NamedTuple

_BLOCK = 65_536


class Stat(NamedTuple):
    """What a process is at one moment; `began` and its number together are its identity."""

    state: str
    parent: int
    group: int
    session: int
    threads: int
    began: int

    @property
    def ended(self) -> bool:
        """True when it only waits to be reaped; a process may also go on without its first thread."""
        return self.state in "ZX" and self.threads <= 1


def _read(path: str) -> bytes:
    """Return the whole file, empty when its process has ended or is another user's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(descriptor, _BLOCK):
            parts.append(part)
        return b"".join(parts)
    except OSError:  # it ended in between
        return b""
    finally:
        os.close(descriptor)


def stat(pid: int) -> Stat | None:
    """Return what the process is, or None when there is none of this number."""
    after = _read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()  # its name may have any characters
    if len(after) < 20:
        return None
    return Stat(after[0].decode(), int(after[1]), int(after[2]), int(after[3]), int(after[17]), int(after[19]))


def children_of_first_thread(pid: int) -> list[int]:
    """Return the children that its first thread has: those that fell to the process are all among them."""
    return [*map(int, _read(f"/proc/{pid}/task/{pid}/children").split())]


def children(pid: int) -> list[int]:
    """Return the children of all its threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - one call, no objects
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def environment(pid: int) -> dict[str, str]:
    """Return the variables that the process was started with; none when it has ended or is another user's."""
    pairs = (os.fsdecode(pair).partition("=") for pair in _read(f"/proc/{pid}/environ").split(b"\0"))
    return {name: value for name, _, value in pairs if name}


def lists_children() -> bool:
    """Return whether this system has all of this: Linux, with the lists of children."""
    if sys.platform != "linux":
        return False
    return hasattr(resource, "prlimit") and os.access(f"/proc/self/task/{os.getpid()}/children", os.R_OK)
