"""All output of a terminal, byte for byte but without secrets, in a file of limited size."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from aegis_private.folder import Folder
from aegis_terminal.line_buffer import LineBuffer
from aegis_terminal.secrets import Secrets

MOST = 10 * 2**20  # bytes; as many again are kept as `raw.log.1`


class RawLog:
    """The log of one terminal; on a full disk lines are lost, `report` is called once, and nothing stops."""

    def __init__(self, path: Path, secrets: Secrets, report: Callable[[str], None], most: int = MOST) -> None:
        self._path, self._secrets, self._report, self._most = path, secrets, report, most
        self._lines = LineBuffer(secrets)
        self._file: FileIO | None = None
        self._failing = False

    def write(self, data: bytes) -> None:
        """Write the bytes, as whole lines."""
        self._lines.feed(data)
        self._put(self._lines.take())

    def close(self) -> None:
        """Write the rest and close the file."""
        self._put(self._lines.rest())
        if self._file:
            self._file.close()

    def _put(self, lines: bytes) -> None:
        if not lines:
            return
        lines = self._secrets.cut_bytes(lines)
        try:
            file = self._room(len(lines))
            while lines:
                lines = lines[file.write(lines) :]
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._report(f"its output cannot be written to {self._path}: {error.strerror}")
            self._failing = True

    def _room(self, size: int) -> FileIO:
        if self._file and self._file.tell() + size > self._most:
            self._file.close()
            self._file = None
            self._folder().rename(self._path.name, f"{self._path.name}.1")
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = FileIO(self._folder().open_file(self._path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
        return self._file

    def _folder(self) -> Folder:
        return Folder.open(self._path.parent, OSError)
