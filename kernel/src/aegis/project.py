"""Where a project keeps what aegis needs: configuration, state folder, lock."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from aegis.errors import AegisError, Busy, ConfigError, Refused

FILE = ".aegis.yaml"
_SPARE = 10**9  # numbers that a kernel may use before a clock set back by hours lets the next one use some again


class Untrusted(Refused, ConfigError):
    """Nobody has said that what the project says may run."""


class Project(NamedTuple):  # no dataclass: every one-shot command would pay for that import
    """One folder with an `.aegis.yaml` or an `.aegis/` in it, or that will have one."""

    root: Path

    @property
    def state(self) -> Path:
        """Where everything durable lives."""
        return self.root / ".aegis" / "state"

    def prepare(self) -> None:
        """Make the state folder, private to the user; raises `AegisError` when that cannot be."""
        try:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.state.chmod(0o700)  # fails when the folder is another user's
            (self.state / ".gitignore").write_text("*\n")
        except OSError as error:
            raise AegisError(f"cannot keep state in {self.state}: {error}") from None

    def first_number(self, clock: int) -> int:
        """Return where this kernel's numbers of events begin: at the clock, and above those of every earlier kernel."""
        file, last = self.state / "numbers", 0
        with suppress(OSError, ValueError):
            last = int(file.read_text()) + _SPARE
        number = max(clock, last)
        with suppress(OSError):
            file.write_text(str(number))
        return number

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the project for one kernel; raises `Busy` with the pid of the other."""
        with (self.state / "kernel.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Busy(f"aegis already runs in {self.root} (pid {lock.read().strip() or 'unknown'})") from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
