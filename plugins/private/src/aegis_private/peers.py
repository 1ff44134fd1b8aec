"""Who is at the other end of a unix socket, as the system knows it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aegis_private.ownership import ROOT

if TYPE_CHECKING:  # every one-shot command would pay for it
    from typing import Protocol

    class SupportsPeer(Protocol):
        """What can be asked who is at the other end: a socket of the standard library or of trio."""

        def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...


_WAITING = 1_024  # connections that may wait to be let in; one more is refused by the system


class Peer(NamedTuple):
    """The account and the process that connected, or that listens; a process that is not known is 0."""

    uid: int
    pid: int

    @property
    def is_me(self) -> bool:
        """Whether it is this user."""
        return self.uid == os.geteuid()

    @property
    def is_trusted(self) -> bool:
        """Whether it is this user, or root, who may do anything anyway."""
        return self.is_me or self.uid == ROOT


def peer(connection: SupportsPeer) -> Peer:
    """Return who was at the other end as the connection was made (of one that listens: as it began to)."""
    if hasattr(socket, "SO_PEERCRED"):
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, uid, gid
        return Peer(_number(data[4:8]), _number(data[:4]))
    uid = _number(connection.getsockopt(0, 1, 76)[4:8])  # macOS: SOL_LOCAL, LOCAL_PEERCRED, a xucred
    try:
        return Peer(uid, _number(connection.getsockopt(0, 2, 4)))  # LOCAL_PEERPID
    except OSError:
        return Peer(uid, 0)


def _number(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def listening(path: Path) -> socket.socket:
    """Return a socket that listens at this path, which is free, and that only this user may open; raises `OSError`."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # nothing else of this thread runs until it is set back
    try:
        made.bind(os.fspath(path))
        made.listen(_WAITING)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(mask)
    return made
