"""The state folder of a program in a person's project: this user's alone, and held by one process at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self

from aegis_private.folder import Folder
from aegis_private.ownership import NotPrivate, climb, why_movable

_ENDED = "ended"
_SPARE = 10**9  # numbers that a process may use before a clock set back by hours lets the next one use some again


def _is_there(folder: Path) -> bool:
    try:
        return stat.S_ISDIR(folder.stat().st_mode)
    except PermissionError:  # another user's, who keeps it closed: it is there, and said to be theirs
        return True
    except OSError:
        return False


class State:
    """A folder `root` with the file `settings` and a state at `inside`, which the program `name` holds by its `lock`.

    A class of it names the errors: `refused` where others could put theirs, `failed`, `busy` when another holds it.
    """

    name: ClassVar = "this program"
    settings: ClassVar = "settings"
    inside: ClassVar[tuple[str, ...]] = ("state",)
    lock: ClassVar = "lock"
    refused: ClassVar[type[Exception]] = NotPrivate
    failed: ClassVar[type[Exception]] = NotPrivate
    busy: ClassVar[type[Exception]] = NotPrivate
    __slots__ = ("killed", "root")

    def __init__(self, root: Path) -> None:
        self.root, self.killed = root, False

    @classmethod
    def find(cls, start: Path) -> Self:
        """Return the closest folder, from `start` up, that has the file `settings` or a state, else `start` itself.

        It is not looked for in, or above, a folder that another user owns or may write to.
        """
        here = start.resolve()
        found = (f for f in climb(here) if os.path.lexists(f / cls.settings) or _is_there(f.joinpath(*cls.inside)))
        return cls(next(found, here))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root})"

    @property
    def state(self) -> Path:
        """Where everything durable lives."""
        return self.root.joinpath(*self.inside)

    def folder(self, *, make: bool = False) -> Folder:
        """Open the state folder; raises `refused` where others could put theirs, `FileNotFoundError` without one."""
        found = Folder.open(self.root, self.refused)
        for name in self.inside[:-1]:
            found = found.folder(name, make=make, mode=0o755)  # what people write is there, too
        found = found.folder(self.inside[-1], make=make)
        if make:
            found.close_to_others()
        return found

    def private(self, *names: str) -> Path:
        """Return the path of a folder in the state, made if need be; raises `refused` when it is not this user's."""
        found = self.folder()
        for name in names:
            found = found.folder(name, make=True)
        found.close_to_others()
        return found.path

    def check(self) -> None:
        """Close what is there to others; raises `refused` where they could put their own in its place."""
        if why := why_movable(self.root):
            raise self.refused(why)
        found = Folder.open(self.root, self.refused)
        with suppress(FileNotFoundError):
            for name in self.inside[:-1]:
                found = found.folder(name)
                found.close_to_others(0o755)  # what people write may be there, too

    def prepare(self) -> None:
        """Make the state folder, this user's alone; raises `refused` or `failed` when that cannot be."""
        try:
            self.check()
            with self.folder(make=True) as state:
                state.replace(".gitignore", b"*\n")
        except OSError as error:
            raise self.failed(f"cannot keep state in {self.state}: {error}") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; what it makes is closed to others. Raises `busy` with the holder's pid.

        `killed` says from now on whether the last holder did not get to the end of this.
        """
        from aegis_private.lock import locked, told  # noqa: PLC0415 - only who holds it needs these imports
        from aegis_private.runtime import runtime_folder  # noqa: PLC0415
        from aegis_private.umask import closed  # noqa: PLC0415

        def busy(lines: list[str]) -> Exception:
            return self.busy(f"{self.name} already runs in {self.root} (pid {lines[0] if lines else 'unknown'})")

        with closed(), ExitStack() as stack:
            state = stack.enter_context(self.folder())
            tell = stack.enter_context(locked(state, self.lock, busy))
            last = told(state, self.lock)
            self.killed = bool(last) and last[2:] != [_ENDED]
            tell([str(os.getpid())])
            try:
                sockets = str(stack.enter_context(runtime_folder(f"{self.name}-run", self.failed)).path)
            except self.failed as error:  # what needs one says so
                sockets = str(error)
            tell([str(os.getpid()), sockets])
            try:
                yield
            finally:
                tell([str(os.getpid()), sockets, _ENDED])

    def is_held(self) -> bool:
        """Return whether a process holds the folder."""
        from aegis_private.lock import is_held  # noqa: PLC0415 - most commands have no use for it

        with self.folder() as state:
            return is_held(state, self.lock)

    def runtime(self) -> Path:
        """Return the folder for sockets of the process that holds this; raises `FileNotFoundError` if none ever did."""
        from aegis_private.lock import told  # noqa: PLC0415 - the same

        with self.folder() as state:
            _, place, *_ = [*told(state, self.lock), "", ""]
        if not place.startswith("/"):
            raise self.failed(place) if place else FileNotFoundError(self.lock)
        return Path(place)

    def first_number(self, clock: int) -> int:
        """Return where this process's numbers begin: at the clock, and above those of every earlier one."""
        last = 0
        with self.folder() as state:
            with suppress(OSError, ValueError):
                last = int(state.read("numbers", 99)) + _SPARE
            number = max(clock, last)
            with suppress(OSError):
                state.replace("numbers", str(number).encode())
        return number
