"""Files that are appended to often, kept open for as long as their names lead to them."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

from aegis_private.folder import Folder

_MOST = 64  # descriptors; with more files in turn each is opened each time


class OpenFiles:
    """Descriptors of files below one folder; only one thread at a time may use them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._folder: Folder | None = None
        self._open: OrderedDict[str, tuple[int, tuple[int, int]]] = OrderedDict()

    def descriptor(self, name: str) -> tuple[int, int, bool]:
        """Return a descriptor to append with, how long the file is, and whether it was open; a missing one is made."""
        folder = self._folder = self._folder or Folder.open(self._path, OSError)
        if kept := self._open.get(name):
            descriptor, file = kept
            if (size := _length(folder, name, file)) is not None:
                self._open.move_to_end(name)
                return descriptor, size, True
            self._forget(name)
        descriptor = folder.open_file(name, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        seen = os.fstat(descriptor)
        self._open[name] = descriptor, (seen.st_dev, seen.st_ino)
        if len(self._open) > _MOST:
            self._forget(next(iter(self._open)))
        return descriptor, seen.st_size, False

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, in place of what had that name."""
        self._forget(name)
        if self._folder:
            self._folder.rename(name, new)

    def close(self) -> None:
        """Let all of them go; they are opened again when they are needed."""
        for name in list(self._open):
            self._forget(name)
        if self._folder:
            self._folder.close()
        self._folder = None

    def _forget(self, name: str) -> None:
        if kept := self._open.pop(name, None):
            os.close(kept[0])

    def __del__(self) -> None:
        self.close()


def _length(folder: Folder, name: str, file: tuple[int, int]) -> int | None:
    """Return how long the file is that was opened by this name; None when the name leads to another, or so does one."""
    try:
        seen = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except OSError:
        return None
    return seen.st_size if (seen.st_dev, seen.st_ino) == file and seen.st_nlink == 1 else None
