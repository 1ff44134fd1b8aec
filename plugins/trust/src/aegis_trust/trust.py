"""The one answer whether what a folder has may run: its settings, and the files that they name.

Whoever is about to run something of the folder asks: `require` for values of the settings, `read` for a file's content.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from aegis_trust.contents import (
    PERSONAL,
    Contents,
    Names,
    beside_of,
    files_of,
    mark_of,
    marks,
    names_in,
    places,
    regular,
    settings_of,
)
from aegis_trust.records import Record, Records
from aegis_yamlfile.yamlfile import YamlFile

FOLDERS = "AEGIS_TRUSTED_FOLDERS"  # what lies in one of these, as in PATH, is trusted whatever it says: for test suites
_FRESH = 2_000_000_000  # nanoseconds after a change in which another one may leave no trace in a file's times
_LARGEST = 10**9  # bytes of a file that is named
_LARGEST_TEXT = 200_000  # bytes of a file that are kept to show what has changed in it


class TrustError(Exception):
    """Nobody trusts it."""


class Trust:
    """What a person trusts of one folder, whose settings are in the file `main` and in overlays.

    It is an interceptor too: no CLI is started while a file that its profile names is not as it was trusted.
    """

    name, strict, order = "trust", True, 1_000

    def __init__(
        self, root: Path, main: str, error: type[Exception] = TrustError, *, vouched: bool = False,
        records: Records | None = None,
    ) -> None:  # fmt: skip
        """`error` makes what is raised; with `vouched` whoever made this object answers for all that is there."""
        self.root, self.main, self.error = root, main, error
        self.vouched = vouched or any(root.is_relative_to(folder) for folder in _trusted_folders())
        self.records = records or Records()
        self.said: list[str] = []  # what a person is to know of the start
        self._record = Record(str(root))
        self._stamp: tuple[int, ...] = (0,)
        self._in_force: Record | None = None
        self._hashed: dict[str, tuple[list[int], str]] = {}

    @property
    def record(self) -> Record:
        """What is trusted now, whichever process recorded it."""
        if self.records.stamp(str(self.root)) != self._stamp:
            self._record = self.records.moved(str(self.root))
            self._stamp = self.records.stamp(str(self.root))
        return self._record

    # -- asking -----------------------------------------------------------------------------------------------------

    def reason(self) -> str:
        """Return why nothing of the folder may run, empty when all of it is as it was trusted."""
        if self.vouched:
            return ""
        try:
            return self._about(self.differences(settings_of(self.root, self.main)))
        except (OSError, ValueError) as error:
            return f"what {self.root} says cannot be trusted: {error}"

    def require(self, value: Any = None, *, beside: bool = False) -> None:
        """Raise the error unless every file that the value names is as it was trusted (without one: everything).

        With `beside` what agents' CLIs obey by themselves counts, too.
        """
        if self.vouched:
            return
        if value is None or not self.record.when:
            why = self.reason()
        else:
            named = names_in(value)
            found: dict[str, list[str]] = {}
            for record in self._believed():
                for name, path in files_of(self.root, _known(named, record), beside=beside):
                    found.setdefault(name, []).append(self._change(name, path, record))
            why = self._about([changes[0] for changes in found.values() if all(changes)])
        if why:
            raise self.error(why)

    def read(self, path: Path) -> bytes:
        """Return the content of a file that the settings name, as it was trusted; raises the error, or `OSError`."""
        content = path.read_bytes()
        name = os.path.relpath(os.path.normpath(path), self.root)
        if not self.vouched and not self._knows(name, path, content):
            known = any(name in record.files for record in self._believed())
            raise self.error(self._about([f"{name} has changed" if known else f"{name} is new"]))
        return content

    def _knows(self, name: str, path: Path, content: bytes) -> bool:
        real = path.resolve()
        mark = sha256(content).hexdigest() if real.is_relative_to(self.root) else f"-> {real}"
        return any(record.files.get(name) == mark for record in self._believed())

    def _believed(self) -> tuple[Record, ...]:
        """Return what is trusted now, and what was when the settings in force were read."""
        return (self.record, self._in_force) if self._in_force and self.record.when else (self.record,)

    def settings(self) -> dict[str, bytes]:
        """Return the settings as they are, read once; raises the error unless everything is as it was trusted.

        Raises `OSError` or `ValueError` for what cannot be read.
        """
        found = settings_of(self.root, self.main)
        if not self.vouched:
            if why := self._about(self.differences(found)):
                raise self.error(why)
            self._in_force = self.record
        return found

    def differences(self, settings: Mapping[str, bytes]) -> list[str]:
        """Return what is not as it was trusted, each as a few words."""
        record, now = self.record, marks(settings)
        if not record.when:
            return [f"{name} was never trusted" for name in (*now, *dict(beside_of(self.root)))]
        found = [*_compared(record.settings, now)]
        if not found:  # the names are those of the record as long as the settings are
            names = Names(record.words, record.patterns, record.bases)
            there = dict(files_of(self.root, names))
            found = [f"{name} is gone" for name in record.files if name not in there and name not in PERSONAL]
            found += filter(None, (self._change(name, path, record) for name, path in there.items()))
        return found

    def _about(self, differences: list[str]) -> str:
        if not differences:
            return ""
        where = "" if _here() == self.root else f" -C {shlex.quote(str(self.root))}"
        if not self.record.when:
            return (
                f"{self.root} is not trusted, and nothing of it is run; `aegis trust{where}` shows what would run and"
                f" asks (`--trust` says yes in a script)"
            )
        said = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        return f"{said} since it was trusted; `aegis trust{where}` shows the change, and asks"

    def _change(self, name: str, path: Path, record: Record) -> str:
        known = name in record.files
        was = record.files[name] if known else mark_of(name, b"") if name in PERSONAL else ""
        if was and self._mark(name, path, record) == was:
            return ""
        return f"{name} has changed" if known else f"{name} is new"

    def _mark(self, name: str, path: Path, record: Record) -> str:
        """Return the hash of a file, or where it leads to when that is not in the folder."""
        real = path.resolve()
        if not real.is_relative_to(self.root):
            return f"-> {real}"
        if name in PERSONAL:
            return mark_of(name, regular(real) or b"")
        found = real.stat()
        stats = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        if stats == record.stats.get(name):
            return record.files[name]
        if found.st_size > _LARGEST:
            raise ValueError(f"{name} is larger than {_LARGEST // 10**6} MB, and nobody can say what is in it")
        if name not in self._hashed or self._hashed[name][0] != stats:
            with real.open("rb") as file:
                digest = sha256()
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            if time.time_ns() - found.st_ctime_ns < _FRESH:
                return digest.hexdigest()
            self._hashed[name] = stats, digest.hexdigest()
        return self._hashed[name][1]

    def named(self) -> set[Path]:
        """Return every path in the folder at which there is, or could be, a file that the settings name."""
        record = self.record
        return {path for _, path in places(self.root, Names(record.words, record.patterns, record.bases))}

    def before_launch(self, seat: Any, command: Any) -> None:
        """Refuse the launch when a file has changed that the profile names, or that CLIs obey by themselves."""
        if not self.vouched:
            self.require([dict(seat.profile), *dict(beside_of(self.root)).values()], beside=True)

    def claim(self, state: Path, error: type[Exception]) -> None:
        """Have a state that is this folder's own, as `state.claim` says."""
        from aegis_trust.state import claim  # noqa: PLC0415 - which stands on this module

        claim(self, state, error)

    def confirm(self, state: Path, error: type[Exception]) -> None:
        """Have a state that is this folder's own now that its lock is held, as `state.confirm` says."""
        from aegis_trust.state import confirm  # noqa: PLC0415 - as above

        confirm(self, state, error)

    # -- answering --------------------------------------------------------------------------------------------------

    def look(self, texts: Mapping[str, bytes] | None = None) -> Contents:
        """Return what the folder has now (or would have with these settings); raises the error."""
        try:
            settings = settings_of(self.root, self.main) if texts is None else dict(texts)
            values = {name: self._parsed(name, content) for name, content in settings.items()}
            values |= dict(beside_of(self.root))
            names = names_in(list(values.values()))
            files = {name: self._mark(name, path, Record("")) for name, path in files_of(self.root, names)}
        except (OSError, ValueError) as error:
            raise self.error(f"what {self.root} says cannot be read: {error}") from None
        return Contents(settings, values, names, files)

    def _parsed(self, name: str, content: bytes) -> dict[str, Any]:
        return YamlFile(self.root / name, self.error).load(content.decode("utf-8"))[1]

    def accept(self, contents: Contents, by: str) -> None:
        """Remember that a person trusts exactly this, and nothing else of the folder from now on."""
        texts = {name: content for name, content in contents.settings.items() if len(content) <= _LARGEST_TEXT}
        texts |= dict(self._texts(contents))
        stats = dict(self._stats(contents))
        self.records.renew(
            str(self.root), when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), by=by,
            settings=marks(contents.settings), files=dict(contents.files), words=tuple(contents.names.words),
            patterns=tuple(contents.names.patterns), bases=tuple(contents.names.bases), stats=stats,
            texts={name: content.decode("utf-8", "replace") for name, content in texts.items()},
        )  # fmt: skip

    def _texts(self, contents: Contents) -> Iterator[tuple[str, bytes]]:
        for name, mark in contents.files.items():
            path = self.root / name
            if not mark.startswith("->") and path.stat().st_size <= _LARGEST_TEXT:
                content = regular(path) or b""
                if mark_of(name, content) == mark and b"\0" not in content:
                    yield name, content

    def _stats(self, contents: Contents) -> Iterator[tuple[str, list[int]]]:
        for name, mark in contents.files.items():
            if name in self._hashed and self._hashed[name][1] == mark:
                yield name, self._hashed[name][0]

    def revoke(self) -> bool:
        """Trust nothing of the folder any more, and return whether anything was."""
        return bool(self.record.when) and self.records.revoke(str(self.root))


def _known(named: Names, record: Record) -> Names:
    known = {*record.words, *record.patterns}
    patterns = [p for p in named.patterns if p in known]
    return Names([w for w in named.words if w in known], patterns, record.bases)


def _compared(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*was, *now}):
        if name not in was:
            yield f"{name} is new"
        elif name not in now:
            yield f"{name} is gone"
        elif was[name] != now[name]:
            yield f"{name} has changed"


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it is gone
        return None


def _trusted_folders() -> Iterator[Path]:
    for folder in map(Path, os.environ.get(FOLDERS, "").split(os.pathsep)):
        if folder.is_absolute():
            yield folder.resolve()
