"""A file that is opened step by step, so that the file that was checked is the file that is opened.

Each folder is opened below the one before, never through a symbolic link: links are read and followed here, and `..`
goes back to the folder before. A folder or file that is exchanged between two steps cannot lead anywhere else.
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
from aegis_private.umask import users_mode

LARGEST = 4_000_000  # bytes: more than any model reads, and than anyone should write into one file
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LINKS = 40  # as many as the system itself would follow
_OURS, _CONFIG = ".aegis", ".aegis.yaml"


class Unreadable(Exception):
    """The file exists but cannot be used as a text; the message says why."""


class FileChanged(Exception):
    """The file was changed since it was read."""


class Found(msgspec.Struct, frozen=True):
    """A file as it was read."""

    text: str
    hash: str
    mode: int


class SafeFile:
    """A file below the project, or anywhere if that is allowed; files of aegis itself cannot be reached."""

    def __init__(self, root: Path, file: str, *, outside: bool = False) -> None:
        self.root, self.file, self._outside = root, file, outside

    @property
    def path(self) -> Path:
        """The path with its symbolic links; for messages and for watching, never for opening."""
        return self.root / self.file

    @contextmanager
    def _folder(self, *, make: bool = False) -> Iterator[tuple[int, str]]:
        with self._walked(make=make) as (folder, trail):
            yield folder, trail[-1]

    @contextmanager
    def _walked(self, *, make: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Enter the file's folder, opened, with all names on the way; raises `Refused` where no canvas may be."""
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
                        raise Refused(f"{self.file}: its symbolic links lead back to themselves")
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
            f"{self.file} leads out of the project {self.root}; a canvas must be inside it, unless a person sets "
            "plugins.canvas.outside: true"
        )

    def _opened(self, folder: int, name: str, make: bool) -> int:
        made = False
        if make:
            try:
                os.mkdir(name, dir_fd=folder)
                made = True
            except FileExistsError:
                pass
        try:
            opened = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Unreadable(f"{name} in its path is not a folder") from None
            raise
        if made:
            _for_people(opened, 0o777)
        if _same(os.fstat(opened), self.root / _OURS):
            os.close(opened)
            raise self._ours()
        return opened

    def _check(self, folder: int, name: str) -> None:
        if name.casefold() in (_OURS, _CONFIG) and _same(os.fstat(folder), self.root):
            raise self._ours()

    def _ours(self) -> Refused:
        return Refused(f"{self.file} belongs to aegis itself and cannot be a canvas; use another file of the project")

    def real(self) -> Path:
        """Return the path without symbolic links; raises as `read` does, but the file itself need not exist."""
        with self._walked() as (_, trail):
            return Path("/" if self._outside else self.root, *trail)

    def read(self) -> Found:
        """Return the file's text now; raises `FileNotFoundError`, `Unreadable` or `Refused`."""
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
                raise Unreadable("it is not a regular file")
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
            raise Unreadable(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None

    def make(self) -> None:
        """Create the file, empty, with the folders it needs; one that exists stays as it is."""
        with self._folder(make=True) as (folder, name):
            try:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
            except FileExistsError:
                return
            _for_people(descriptor, 0o666)
            os.fsync(descriptor)
            os.close(descriptor)
            os.fsync(folder)

    @contextmanager
    def replacement(self, data: bytes, temporary: str, before: str) -> Iterator[Replacement]:
        """Enter a new version of the file, on disk beside it as `temporary`; it is removed unless it is `put`.

        Raises `FileChanged` unless what is there has the hash `before`, empty when nothing is.
        """
        with self._folder(make=not before) as (folder, name):
            new = Replacement(self, folder, name, temporary, before)
            try:
                new.fill(data)
                yield new
            finally:
                new.drop()

    def finish(self, temporary: str, before: str, after: str) -> bool:
        """Put in place what a process that died had ready, and return whether there was such a file.

        It has the hash `after` and the file still has `before`; anything else that bears its name is removed.
        """
        try:
            with self._folder() as (folder, name):
                new = Replacement(self, folder, name, temporary, before)
                try:
                    if not new.found(after):
                        return False
                    new.put()
                    os.fsync(folder)
                finally:
                    new.drop()
        except (OSError, Unreadable, Refused, FileChanged):
            return False  # its folder may not be entered, or somebody has written since
        return True

    def settle(self) -> None:
        """Have the names in the file's folder on disk."""
        with self._folder() as (folder, _):
            os.fsync(folder)


class Replacement:
    """A new file that can be renamed to the old one's name."""

    def __init__(self, place: SafeFile, folder: int, name: str, temporary: str, before: str) -> None:
        self._place, self._folder, self._name, self._temporary = place, folder, name, temporary
        self._before, self._there = before, False

    def found(self, after: str) -> bool:
        """Return whether the new file is there already, whole; `drop` removes another one of its name."""
        try:
            self._there = True
            return self._place._read(self._folder, self._temporary).hash == after  # noqa: SLF001 - its other half
        except FileNotFoundError:
            self._there = False
        except Unreadable:
            pass
        return False

    def _mode(self) -> int | None:
        """Return the permissions of the old file, None without one; raises `FileChanged` when it is another one."""
        try:
            there = self._place._read(self._folder, self._name)  # noqa: SLF001
        except FileNotFoundError:
            there = None
        except Unreadable as error:
            raise FileChanged(str(error)) from None
        if (there.hash if there else "") != self._before:
            raise FileChanged("it was changed a moment ago")
        return there.mode if there else None

    def fill(self, data: bytes) -> None:
        """Write and sync the new file, with the permissions of the old one."""
        mode = self._mode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._temporary, flags, 0o666, dir_fd=self._folder)
        self._there = True
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if mode is None:
                _for_people(descriptor, 0o666)
            else:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @property
    def stamp(self) -> tuple[int, int, int]:
        """What the file will be known by once it is in its place."""
        return stamp_of(os.stat(self._temporary, dir_fd=self._folder, follow_symlinks=False))

    def put(self) -> None:
        """Rename the new file into place; raises `FileChanged` unless the old one is as it was."""
        self._mode()
        os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._there = False

    def drop(self) -> None:
        """Remove the new file if it was not renamed into place."""
        if self._there:
            self._there = False
            os.unlink(self._temporary, dir_fd=self._folder)


def stamp_of(seen: os.stat_result) -> tuple[int, int, int]:
    """Return what tells one state of a file from the next, as far as its folder knows."""
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _steps(path: str) -> list[str]:
    return [step for step in PurePosixPath(path).parts if step not in (".", "/")]


def _for_people(descriptor: int, mode: int) -> None:
    """Give what was made for people the mode that their own programs would have given it."""
    os.fchmod(descriptor, os.fstat(descriptor).st_mode & 0o7000 | users_mode(mode))


def _link(folder: int, name: str) -> str | None:
    """Return where a symbolic link leads, None for anything that is not a link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise Unreadable(f"its path cannot be followed ({error.strerror})") from None


def _same(seen: os.stat_result, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == (there.st_dev, there.st_ino)
