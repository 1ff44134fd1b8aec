"""Where a canvas lies: found step by step, so that what is checked is what is opened.

Each folder is opened below the one before, never through a symbolic link: links are read and followed here, and `..`
goes back the way that was come. What is swapped between two steps is not found, or is found out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import msgspec

from aegis import Refused
from aegis_canvas.texts import digest

LARGEST = 4_000_000  # bytes: more than any model reads, and than anyone should write into one file
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LINKS = 40  # as many as the system itself would follow
_OURS, _CONFIG = ".aegis", ".aegis.yaml"


class Unreadable(Exception):
    """The file is there and is no text to work with; the message says what it is instead."""


class Moved(Exception):
    """The file is not what it was a moment ago."""


class Found(msgspec.Struct, frozen=True):
    """A file as it was read."""

    text: str
    hash: str
    mode: int


class Place:
    """A path below the project, or anywhere if that is allowed; nothing of aegis itself is ever reached."""

    def __init__(self, root: Path, file: str, *, outside: bool = False) -> None:
        self.root, self.file, self._outside = root, file, outside

    @property
    def path(self) -> Path:
        """Where it is looked for, links and all; for words and for watching, never for opening."""
        return self.root / self.file

    @contextmanager
    def _folder(self, *, make: bool = False) -> Iterator[tuple[int, str]]:
        with self._walked(make=make) as (folder, trail):
            yield folder, trail[-1]

    @contextmanager
    def _walked(self, *, make: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Enter the folder, opened, with the way to it and the name in it; raises `Refused` where no canvas may be."""
        base = Path("/") if self._outside else self.root
        todo = deque(self._below(base, self.path))
        walked, trail = [os.open(base, _FOLDER)], list[str]()
        links = 0
        try:
            while todo:
                name = todo.popleft()
                if name == "..":
                    if len(walked) == 1:
                        raise self._escape()
                    os.close(walked.pop())
                    trail.pop()
                    continue
                target = _link(walked[-1], name)
                if target is not None:
                    links += 1
                    if links > _LINKS:
                        raise Refused(f"{self.file}: its symbolic links go round in circles")
                    if target.startswith("/"):
                        while len(walked) > 1:
                            os.close(walked.pop())
                        trail.clear()
                        todo.extendleft(reversed(self._below(base, Path(target))))
                    else:
                        todo.extendleft(reversed(_steps(target)))
                elif todo:
                    walked.append(self._opened(walked[-1], name, make))
                    trail.append(name)
                else:
                    self._check(walked[-1], name)
                    yield walked[-1], [*trail, name]
                    return
            raise Unreadable("it is a folder")
        finally:
            for descriptor in walked:
                os.close(descriptor)

    def _below(self, base: Path, path: Path) -> list[str]:
        try:
            return _steps(str(path.relative_to(base)))
        except ValueError:
            raise self._escape() from None

    def _escape(self) -> Refused:
        return Refused(
            f"{self.file} leads out of the project {self.root}; a canvas lies inside it, unless a person sets "
            "plugins.canvas.outside: true"
        )

    def _opened(self, folder: int, name: str, make: bool) -> int:
        if make:
            try:
                os.mkdir(name, dir_fd=folder)
            except FileExistsError:
                pass
        try:
            opened = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Unreadable(f"{name} on the way to it is no folder") from None
            raise
        if _same(os.fstat(opened), self.root / _OURS):
            os.close(opened)
            raise self._ours()
        return opened

    def _check(self, folder: int, name: str) -> None:
        if name.casefold() in (_OURS, _CONFIG) and _same(os.fstat(folder), self.root):
            raise self._ours()

    def _ours(self) -> Refused:
        return Refused(f"{self.file} is aegis's own; no canvas may lie there. Take a file of the project's")

    def real(self) -> Path:
        """Return the path without any link; raises as `read` does, but a file that is not there yet has one, too."""
        with self._walked() as (_, trail):
            return Path("/" if self._outside else self.root, *trail)

    def read(self) -> Found:
        """Return the file as it is; raises `FileNotFoundError`, `Unreadable` or `Refused`."""
        with self._folder() as (folder, name):
            return self._read(folder, name)

    def _read(self, folder: int, name: str) -> Found:
        try:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise
            raise Unreadable(f"it cannot be opened ({error.strerror})") from None
        try:
            seen = os.fstat(descriptor)
            if not stat.S_ISREG(seen.st_mode):
                raise Unreadable("it is no regular file")
            if _same(seen, self.root / _CONFIG):
                raise self._ours()
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(LARGEST + 1)
        finally:
            os.close(descriptor)
        if len(data) > LARGEST:
            raise Unreadable(f"it has more than {LARGEST:,} bytes")
        try:
            return Found(data.decode(), digest(data), stat.S_IMODE(seen.st_mode))
        except UnicodeDecodeError as error:
            raise Unreadable(f"it is no UTF-8 text ({error.reason} at byte {error.start})") from None

    def make(self) -> None:
        """Make the file, empty, with the folders it needs; nothing happens to one that is there."""
        with self._folder(make=True) as (folder, name):
            try:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
            except FileExistsError:
                return
            os.fsync(descriptor)
            os.close(descriptor)
            os.fsync(folder)

    @contextmanager
    def replacement(self, text: str, temporary: str, mode: int | None = None) -> Iterator[Replacement]:
        """Enter a new version of the file, on disk beside it under this name; leaving without `put` leaves nothing."""
        with self._folder(make=mode is None) as (folder, name):
            new = Replacement(self, folder, name, temporary)
            try:
                new.fill(text.encode(), mode)
                yield new
            finally:
                new.drop()

    def sweep(self, temporary: str) -> None:
        """Remove what a replacement left behind when its process died."""
        try:
            with self._folder() as (folder, _):
                os.unlink(temporary, dir_fd=folder)
        except (OSError, Unreadable, Refused):
            pass  # it is not there, and nor may we be


class Replacement:
    """A file that will take another's place."""

    def __init__(self, place: Place, folder: int, name: str, temporary: str) -> None:
        self._place, self._folder, self._name, self._temporary = place, folder, name, temporary
        self._there = False

    def fill(self, data: bytes, mode: int | None) -> None:
        """Write and sync it, with the permissions of the file it replaces."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._temporary, flags, 0o666, dir_fd=self._folder)
        self._there = True
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def put(self, expected: str | None) -> None:
        """Put it in place, durably, unless the file is no longer the one expected (by hash; None: no file): `Moved`."""
        try:
            there = self._place._read(self._folder, self._name).hash  # noqa: SLF001 - its other half
        except FileNotFoundError:
            there = None
        except Unreadable as error:
            raise Moved(str(error)) from None
        if there != expected:
            raise Moved("it was changed a moment ago")
        os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._there = False
        os.fsync(self._folder)

    def drop(self) -> None:
        """Remove it if it was not put in place."""
        if self._there:
            self._there = False
            os.unlink(self._temporary, dir_fd=self._folder)


def _steps(path: str) -> list[str]:
    return [step for step in PurePosixPath(path).parts if step not in (".", "/")]


def _link(folder: int, name: str) -> str | None:
    """Return where a symbolic link leads, None for whatever is none."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise Unreadable(f"the way to it is barred ({error.strerror})") from None


def _same(seen: os.stat_result, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == (there.st_dev, there.st_ino)
