"""The umask: what this process makes is closed to others, what people's own programs make is as they have it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_CLOSED = 0o077
_users: list[int] = []  # the person's own, once for each block that is open


@contextmanager
def closed() -> Iterator[None]:
    """Have everything that is made inside closed to other accounts."""
    before = os.umask(_CLOSED)
    _users.append(_users[0] if _users else before)
    try:
        yield
    finally:
        _users.pop()
        if not _users:
            os.umask(before)


def users_umask() -> int:
    """Return the person's own umask, for what is made for them and for what they start: -1 when it is in force."""
    return _users[0] if _users else -1


def users_mode(mode: int) -> int:
    """Return the mode of a file or folder that is made for the person, such as 0o666, as their umask has it."""
    if _users:
        return mode & ~_users[0]
    mask = os.umask(_CLOSED)
    os.umask(mask)
    return mode & ~mask
