"""Whether a ledger is the one that was here, with everything it had: an empty, foreign or older one is noticed.

A file beside the ledger has its id and the number of its last record. It is written after each commit and never synced:
what it says was stored, so a ledger that has less is not the one that was here.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

_OURS = 0x61656769  # "aegi": the application id in the head of our files
_LAST = "select coalesce(max(seq), 0) from sqlite_sequence where name = 'records'"
_KEPT = "sessions"  # what agents said: of value without its ledger, too


class Seen(NamedTuple):
    """A ledger's id (0 for one that has none yet) and the number of its last record."""

    id: int
    last: int


class Continuity:
    """The file in which a ledger's id and last number stand."""

    def __init__(self, ledger: Path) -> None:
        self._ledger, self.path = ledger, ledger.with_name(f"{ledger.stem}.mark")
        self._number, self._open = 0, -1

    def marked(self) -> Seen | None:
        """Return what was here, None when nobody knows."""
        try:
            number, last = self.path.read_bytes().split()
            return Seen(int(number), int(last))
        except (OSError, ValueError):
            return None

    def seen(self) -> Seen | None:
        """Return what is here, None when it is empty or missing; raises `ValueError` for what is no ledger of ours."""
        if not self._ledger.exists() or not self._ledger.stat().st_size:
            return None
        try:
            with closing(sqlite3.connect(f"{self._ledger.as_uri()}?mode=ro", uri=True, timeout=1)) as db:
                tables = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
                application = db.execute("pragma application_id").fetchone()[0]
                number = db.execute("pragma user_version").fetchone()[0]
                if application not in (0, _OURS) or (tables and "records" not in tables):
                    raise ValueError(f"it is another program's file (tables: {', '.join(sorted(tables)) or 'none'})")
                return Seen(number, db.execute(_LAST).fetchone()[0]) if tables else None
        except sqlite3.Error:
            return Seen(0, -1)  # whoever opens it says what is wrong

    def trouble(self) -> str:
        """Return why what is here is not what was here, empty when it is."""
        try:
            here, was = self.seen(), self.marked()
        except ValueError as error:
            return f"{self._ledger} is no ledger of aegis: {error}"
        if here is None or (here.last == 0 and was is None):
            lines = sum(file.read_bytes().count(b"\n") for file in self._mirror())
            if was and was.last:
                return f"the ledger {self._ledger} is empty, but {was.last:,} records were stored in it"
            return f"the ledger {self._ledger} is empty, but its mirror has {lines:,} records" if lines else ""
        if was is None or here.last < 0:
            return ""
        if here.id != was.id:
            return f"{self._ledger} is not the ledger that was here: it is another one, with {here.last:,} records"
        if here.last < was.last:
            return (
                f"the ledger {self._ledger} is an older copy: it ends with record {here.last:,}, "
                f"and {was.last:,} were stored"
            )
        return ""

    def begin(self, db: sqlite3.Connection) -> None:
        """Have the ledger carry an id, and keep that and its last number from now on."""
        number = db.execute("pragma user_version").fetchone()[0]
        if not number:
            number = secrets.randbelow(2**31 - 1) + 1
            db.execute(f"pragma application_id = {_OURS}")
            db.execute(f"pragma user_version = {number}")
        self._number = number
        with suppress(OSError):
            self._open = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.keep(db.execute(_LAST).fetchone()[0])

    def keep(self, last: int) -> None:
        """Write that this record is stored; what cannot be written is only noticed less."""
        if last and self._open >= 0:
            with suppress(OSError):
                os.pwrite(self._open, b"%10d %20d\n" % (self._number, last), 0)

    def close(self) -> None:
        """Keep nothing any more."""
        if self._open >= 0:
            os.close(self._open)
        self._open = -1

    def accept(self) -> str:
        """Go on with what is here: set aside what belongs to another ledger, and return what was done."""
        aside = self._ledger.with_name(time.strftime("set-aside-%Y%m%dT%H%M%S"))
        files = [*self._mirror(), *([self._ledger] if self._foreign() else [])]
        for file in files:
            place = aside / file.relative_to(self._ledger.parent)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.rename(place)
        self.path.unlink(missing_ok=True)
        here = self.seen()
        return (f"aegis goes on with {here.last:,} records" if here else "aegis begins with an empty ledger") + (
            f"; what belongs to the former one is in {aside}" if files else ""
        )

    def _foreign(self) -> bool:
        try:
            self.seen()
        except ValueError:
            return True
        return False

    def _mirror(self) -> list[Path]:
        """Return the files that are made of a ledger's records."""
        files = self._ledger.parent.glob("*/**/*.jsonl")
        parts = [(file, file.relative_to(self._ledger.parent).parts[0]) for file in files]
        return [file for file, folder in parts if folder != _KEPT and not folder.startswith("set-aside-")]
