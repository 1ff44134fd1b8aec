"""Which project a folder belongs to, and where its kernel is reached."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.errors import Refused
from aegis.project import Project
from aegis_private.peers import peer

if TYPE_CHECKING:
    from aegis_private.peers import SupportsPeer

SOCKET = "control.sock"
_LONGEST = 100  # bytes; the system's own limit for a socket's path is 108 on Linux and 104 on macOS


def find_project_root(start: Path | None = None) -> Path:
    """Return the closest ancestor of `start` (default: the current folder) that is a project, else `start` itself."""
    return Project.find(start or Path.cwd()).root


def socket_of(project: Project) -> Path:
    """Return the control socket: in the state folder, or where the kernel's lock says when that path is too long.

    Raises `FileNotFoundError` when none has said so.
    """
    path = project.state / SOCKET
    return path if len(os.fsencode(path)) <= _LONGEST else project.runtime() / SOCKET


def safe_socket_of(project: Project) -> Path:
    """Return the control socket; raises `Refused` where others could put theirs, `FileNotFoundError` without state."""
    project.folder().close()
    return socket_of(project)


def check_peer(connection: SupportsPeer, path: Path | str) -> None:
    """Raise `Refused` unless this user, or root, listens there: nothing was said to it then."""
    if not (other := peer(connection)).is_trusted:
        raise Refused(
            f"what listens at {path} belongs to another user (user {other.uid}), not to you; nothing was said to it"
        )
