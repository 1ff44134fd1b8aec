"""A folder that belongs to this user alone, opened: what is done in it is done there, wherever its path leads."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from aegis_private.ownership import NotPrivate, others_may_write, ours, owner, why_not_ours

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 2**20


class Folder:
    """Folders and files below an open folder; `error` is what it raises, with a sentence.

    Nothing is reached through a link, everything in it is this user's (or root's), and what is made is closed to others
    whatever the umask. `OSError` means what it says: no such file, no room.
    """

    def __init__(self, descriptor: int, path: Path, error: type[Exception] = NotPrivate) -> None:
        self.fd, self.path, self._error = descriptor, path, error

    @classmethod
    def open(cls, path: Path, error: type[Exception] = NotPrivate) -> Folder:
        """Open a folder that only this user or root may change; the way to it may have links."""
        try:
            folder = cls(os.open(path, _FOLDER & ~os.O_NOFOLLOW), path, error)
        except NotADirectoryError:
            raise error(f"{path} is not a folder") from None
        if why := why_not_ours(path, os.fstat(folder.fd), folder.fd):
            raise error(why)
        return folder

    def folder(self, name: str, *, make: bool = False, mode: int = 0o700) -> Folder:
        """Open the folder of this name, which is this user's; `make` makes it, with exactly this mode."""
        made = False
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.fd)  # until it is known to be this one
                made = True
        path = self.path / name
        try:
            found = Folder(os.open(name, _FOLDER, dir_fd=self.fd), path, self._error)
        except OSError as error:
            raise self._unfit(name, "folder", error) from None
        seen = os.fstat(found.fd)
        if not ours(seen) or (make and seen.st_uid != os.geteuid()):
            raise self._error(f"{path} belongs to another user ({owner(seen)}); aegis keeps its files in your folders")
        if made:
            os.fchmod(found.fd, mode)
        return found

    def close_to_others(self, mode: int = 0o700) -> None:
        """Take from everyone what the mode does not give them."""
        seen = stat.S_IMODE(os.fstat(self.fd).st_mode)
        if seen & ~mode or seen & 0o700 != 0o700:
            os.fchmod(self.fd, seen & mode | 0o700)

    def _unfit(self, name: str, what: str, error: OSError) -> Exception:
        path = self.path / name
        try:
            seen = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return error
        if stat.S_ISLNK(seen.st_mode):
            where = os.readlink(name, dir_fd=self.fd)
            return self._error(f"{path} is a link to {where}; aegis follows none to its own files: remove the link")
        fits = stat.S_ISDIR(seen.st_mode) if what == "folder" else stat.S_ISREG(seen.st_mode)
        return error if fits else self._error(f"{path} is not a {what}; move it away")

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Return a descriptor of this file, made with mode 0600 if the flags say so; a name may lead into folders.

        A file to write to has no second name: what looks like a hard link of it is somebody's other file.
        """
        *folders, last = self._steps(name)
        if folders:
            return self._at(folders, make=bool(flags & os.O_CREAT)).open_file(last, flags)
        try:
            descriptor = os.open(last, flags | _FILE, 0o600, dir_fd=self.fd)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unfit(last, "file", error) from None
        try:
            self._check(last, descriptor, writing=bool(flags & (os.O_WRONLY | os.O_RDWR)))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, name: str, descriptor: int, *, writing: bool) -> None:
        seen, path = os.fstat(descriptor), self.path / name
        if not stat.S_ISREG(seen.st_mode):
            raise self._error(f"{path} is not a file; move it away")
        if not ours(seen) or (writing and seen.st_uid != os.geteuid()):
            raise self._error(f"{path} belongs to another user ({owner(seen)}); aegis uses only your own files")
        if writing and seen.st_nlink > 1:
            raise self._error(f"{path} has another name (a hard link), where writing to it would show; remove it")
        if writing and stat.S_IMODE(seen.st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
        elif others_may_write(seen, descriptor):
            raise self._error(f"other accounts may write to {path}; take that away (`chmod go-w {path}`)")

    def _steps(self, name: str) -> tuple[str, ...]:
        steps = PurePosixPath(name).parts
        if not steps or ".." in steps or "/" in steps:
            raise self._error(f"{name!r} names no file in {self.path}")
        return steps

    def _at(self, folders: list[str], *, make: bool) -> Folder:
        found = self
        for step in folders:
            found = found.folder(step, make=make)
        return found

    def secure(self, name: str) -> None:
        """Have this file, which another library will open by its path, be a file of this user's with mode 0600."""
        os.close(self.open_file(name, os.O_RDWR | os.O_CREAT))

    def read(self, name: str, most: int = 2**30) -> bytes:
        """Return what is in the file, and not more than `most` bytes; raises `FileNotFoundError`."""
        with os.fdopen(self.open_file(name), "rb") as file:
            return file.read(most)

    def replace(self, name: str, data: bytes) -> None:
        """Have the file hold exactly this, with mode 0600; a reader sees the old or the new one."""
        *folders, last = self._steps(name)
        if folders:
            self._at(folders, make=True).replace(last, data)
            return
        new = f".{last}.{os.getpid()}.{os.urandom(4).hex()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600, dir_fd=self.fd)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(data)
            os.rename(new, last, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(new, dir_fd=self.fd)
            raise

    def rename(self, name: str, new: str) -> None:
        """Give a file of this folder another name in it, in the place of what had that name."""
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """Have no file of this name, itself or as a link."""
        *folders, last = self._steps(name)
        with suppress(FileNotFoundError):
            within = self._at(folders, make=False)
            os.unlink(last, dir_fd=within.fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the folder go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        self.close()


def open_own(path: Path) -> BinaryIO:
    """Open a file of this user's to read, itself and not through a link; raises `OSError` for every other."""
    with Folder.open(path.parent, OSError) as folder:
        return os.fdopen(folder.open_file(path.name), "rb")


def read_file(path: Path, error: type[Exception] = NotPrivate, most: int = 2**30) -> bytes | None:
    """Return what is in a file that only this user or root may change, None without one; it may be behind a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        if path.is_symlink():
            raise error(f"{path} is a link to {path.readlink()}, which does not exist; mend or remove it") from None
        return None
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror}") from None
    try:
        seen, link = os.fstat(descriptor), path.lstat()
        if stat.S_ISDIR(seen.st_mode):
            raise error(f"{path} is a directory; it should be a file")
        if not stat.S_ISREG(seen.st_mode):
            raise error(f"{path} is not a file")
        if stat.S_ISLNK(link.st_mode) and not ours(link):
            raise error(f"{path} is a link that belongs to another user ({owner(link)})")
        if why := why_not_ours(path, seen, descriptor):
            raise error(why)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
