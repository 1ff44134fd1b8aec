"""Who an agent is, as a secret it carries; the same before and after a restart, as is the port it is carried to."""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from pathlib import Path

from aegis_private.folder import Folder, open_own

_KEY_BYTES, _LONGEST = 32, 4_096


class Secrets:
    """One secret per agent, made from its id and one key that only this project's state folder knows."""

    def __init__(self, path: Path) -> None:
        """Take key and port from the file; without one, or with one that others could read, the key is new."""
        self._path = path
        self.port, key = self._load()
        self._key = key or secrets.token_bytes(_KEY_BYTES)
        if not key:
            self._store()

    def of(self, agent_id: str) -> str:
        """Return the agent's secret."""
        return f"{agent_id}.{self._mark(agent_id)}"

    def owner(self, secret: str) -> str | None:
        """Return the id of the agent, living or dead, whose secret this is; None when it is nobody's."""
        agent_id, _, mark = secret.partition(".")
        try:
            return agent_id if hmac.compare_digest(mark, self._mark(agent_id)) else None
        except (TypeError, UnicodeEncodeError):  # not ASCII: no secret of ours
            return None

    def keep_port(self, port: int) -> None:
        """Come up at this port the next time too, if it is free then."""
        if port != self.port:
            self.port = port
            self._store()

    def _mark(self, agent_id: str) -> str:
        digest = hmac.digest(self._key, agent_id.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _load(self) -> tuple[int, bytes]:
        try:
            with open_own(self._path) as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    return 0, b""
                stored = json.loads(file.read(_LONGEST))
            port, key = int(stored["port"]), bytes.fromhex(stored["key"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, b""
        return (port, key) if len(key) == _KEY_BYTES and 0 <= port < 65536 else (0, b"")

    def _store(self) -> None:
        with Folder.open(self._path.parent) as folder:
            folder.replace(self._path.name, json.dumps({"port": self.port, "key": self._key.hex()}).encode())
