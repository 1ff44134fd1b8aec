"""Everything a terminal said, byte by byte but for secrets, in a file that does not grow for ever."""

from __future__ import annotations

import os
from pathlib import Path

from aegis_terminal.secrets import Secrets

MOST = 10 * 2**20  # bytes; as many again are kept as `raw.log.1`
_HELD = 16_384  # bytes of a line that are waited for: a secret must not be cut in two
_KEY = b"-----BEGIN "


class RawLog:
    """The log of one terminal."""

    def __init__(self, path: Path, secrets: Secrets, most: int = MOST) -> None:
        self._path, self._secrets, self._most = path, secrets, most
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._opened()
        self._held = bytearray()

    def _opened(self):  # type: ignore[no-untyped-def]  # a raw file; its type has no short name
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Keep the bytes, as whole lines."""
        self._held += data
        end = self._held.rfind(b"\n") + 1
        begun = self._held.rfind(_KEY, 0, end)
        if begun >= 0 and b"-----END " not in self._held[begun:end]:
            end = begun
        if len(self._held) - end > _HELD:
            end = len(self._held)
        self._put(end)

    def _put(self, end: int) -> None:
        if not end:
            return
        lines = self._secrets.cut_bytes(bytes(self._held[:end]))
        del self._held[:end]
        if self._file.tell() + len(lines) > self._most:
            self._file.close()
            os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
            self._file = self._opened()
        self._file.write(lines)

    def close(self) -> None:
        """Keep what is left, and be done."""
        self._put(len(self._held))
        self._file.close()
