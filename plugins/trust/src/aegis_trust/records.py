"""What a person trusts, folder by folder, in the person's own state: nothing in the folder itself is believed."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from aegis_private.ownership import others_may_write
from aegis_private.umask import closed
from aegis_trust.contents import regular

MARK = "made-here"  # the file in a state that has its id
_STATES = 20  # ids of a folder's state that are remembered


class Record(NamedTuple):
    """What is trusted of one folder; `when` is empty when nothing is. `texts` are kept to show what has changed."""

    folder: str
    when: str = ""
    by: str = ""
    settings: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    stats: Mapping[str, list[int]] = {}
    texts: Mapping[str, str] = {}
    states: tuple[str, ...] = ()


class Records:
    """The records of this person: one file for each folder, readable by nobody else."""

    def __init__(self, place: Path | None = None) -> None:
        self.place = place or default_place()

    def _file(self, folder: str) -> Path:
        return self.place / f"{sha256(os.fsencode(folder)).hexdigest()[:32]}.json"

    def stamp(self, folder: str) -> tuple[int, ...]:
        """Return what is another value once the folder's record is another."""
        try:
            found = os.lstat(self._file(folder))
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def load(self, folder: str) -> Record:
        """Return the folder's record, an empty one when there is none that this person wrote."""
        found = _read(self._file(folder))
        return found if found and found.folder == folder else Record(folder)

    def all(self) -> list[Record]:
        """Return every record."""
        found = (_read(file) for file in sorted(self.place.glob("*.json")))
        return [record for record in found if record]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep every other process from changing records meanwhile; raises `OSError` when nothing can be kept."""
        with closed():  # the folders above, too, whatever the umask
            self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.place.stat().st_uid != os.geteuid():
                raise PermissionError(f"{self.place} belongs to another user")
            descriptor = os.open(self.place / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def _save(self, record: Record) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.place, prefix=".new-")  # it makes it 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"v": 1, **record._asdict()}, file)
                file.flush()
                os.fsync(descriptor)
            os.replace(name, self._file(record.folder))
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def renew(self, folder: str, **what: Any) -> None:
        """Have these parts of the folder's record on disk; raises `OSError` when that cannot be."""
        with self._alone():
            self._save(self.load(folder)._replace(**what))

    def add_state(self, folder: str, mark: str) -> None:
        """Remember the id of a state that was made here."""
        with self._alone():
            record = self.load(folder)
            self._save(record._replace(states=(mark, *record.states)[:_STATES]))

    def revoke(self, folder: str) -> bool:
        """Trust nothing of the folder any more, and return whether anything was trusted; its state stays its own."""
        with self._alone():
            was = self.load(folder)
            self._save(Record(folder, states=was.states))
        return bool(was.when)

    def moved(self, folder: str) -> Record:
        """Return the folder's record, which is that of another one if that has come here, with the state in it."""
        found = self.load(folder)
        if found.when or found.states or not (mark := mark_of(state_of(folder))):
            return found
        before = next((record for record in self.all() if mark in record.states), None)
        if before is None or mark_of(state_of(before.folder)) == mark:  # unknown, or a copy
            return found
        with suppress(OSError), self._alone():  # what cannot be recorded is asked about
            self._save(before._replace(folder=folder))
            self._file(before.folder).unlink(missing_ok=True)
        return self.load(folder)


def state_of(folder: str) -> Path:
    """Return where a folder's state is."""
    return Path(folder) / ".aegis" / "state"


def mark_of(state: Path) -> str:
    """Return the id that the state's maker gave it, empty when it has none or is reached by a link."""
    with suppress(OSError, ValueError):
        if not state.is_symlink() and (content := regular(state / MARK, 200)):
            return content.decode("ascii").strip()
    return ""


def default_place() -> Path:
    """Return `$XDG_STATE_HOME/aegis/trust`, or the same under `~/.local/state`."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (given if given.is_absolute() else _home() / ".local" / "state") / "aegis" / "trust"


def _home() -> Path:
    """Return the person's folder, as the system has it where `$HOME` is none: a relative one would be the project's."""
    if (home := Path(os.environ.get("HOME", ""))).is_absolute():
        return home
    import pwd  # noqa: PLC0415 - hardly ever needed

    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path("/")  # nothing is remembered there, and that is said


def _read(file: Path) -> Record | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8") as opened:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or others_may_write(found, descriptor):
                return None
            told = json.load(opened)
        tuples = {name: tuple(told[name]) for name in ("words", "patterns", "bases", "states")}
        return Record(**{name: told[name] for name in Record._fields} | tuples)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # torn, foreign, or of a version to come: then nothing is trusted, and the person is asked
