"""The port of the plane, kept so that it is the same after a restart."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from aegis_private.folder import Folder, open_own

_LONGEST = 4_096
_BACKLOG = 512  # connections that may wait to be accepted: a flood of them must not keep an agent's out


class Port:
    """The number that the plane had last, 0 before the first time."""

    def __init__(self, path: Path) -> None:
        """Take the number from the file; one that is damaged, or not ours alone, says nothing."""
        self._path = path
        self.number = self._load()

    def keep(self, number: int) -> None:
        """Come up at this port the next time too, if it is free then."""
        if number != self.number:
            self.number = number
            with Folder.open(self._path.parent) as folder:
                folder.replace(self._path.name, json.dumps({"port": number}).encode())

    def _load(self) -> int:
        try:
            with open_own(self._path) as file:
                number = int(json.loads(file.read(_LONGEST))["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return number if 0 <= number < 65536 else 0


def listening(port: int) -> socket.socket:
    """Return a socket that listens at this loopback port, or at a free one when it is taken."""
    for candidate in (port, 0):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last kernel's connections may linger
        try:
            bound.bind(("127.0.0.1", candidate))
            bound.listen(_BACKLOG)
            return bound
        except OSError:
            bound.close()
    raise OSError("this machine has no free loopback port")
