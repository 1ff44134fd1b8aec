"""Crashes at every write: a process is killed at each sync of its files, and what it left must still be whole.

`walk` runs a scenario once to count its syncs, then again and again, killed just before and just after each of them.
Two disks are looked at after each death: what the process wrote (kill -9), and only what it had synced (power loss).
The disk is `crashdisk.c`, put under the process by LD_PRELOAD: no seam in the code under test, Linux only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

from aegis.errors import AegisError
from aegis.supervise import root_cause

_SOURCE = Path(__file__).with_name("crashdisk.c")
_LONGEST = 60  # seconds one run of a scenario may take

When = Literal["before", "after"]
Loss = Literal["kill -9", "power loss"]
Check = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Crash:
    """One death: at which sync (from 1; 0 is a run that came to its end), before or after it, and what it cost."""

    sync: int
    when: When
    loss: Loss

    def __str__(self) -> str:
        return f"{self.loss} {self.when} sync {self.sync}" if self.sync else f"{self.loss} after the end"


@dataclass(slots=True)
class Walk:
    """What a walk found: the path of every sync of the first run, the deaths looked at, and what each check said."""

    syncs: list[str] = field(default_factory=list)
    crashes: list[Crash] = field(default_factory=list)
    failures: dict[Crash, str] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{len(self.syncs)} syncs, {len(self.crashes)} crashes, {len(self.failures)} failed"
        return "\n".join([head, *(f"{crash}: {why}" for crash, why in self.failures.items())])


def walk(
    scenario: Sequence[str], check: Check, *, skip: str | int = "", enough: int | None = None, workers: int = 2
) -> Walk:
    """Kill the scenario at every sync and return what `check` said of each disk that was left.

    The scenario is a command to which two folders are added: the first is the disk that can be lost, the second
    survives everything (what was acknowledged is noted there). `check(disk, notes)` recovers from copies of both and
    raises AssertionError (or an `AegisError` of the recovery) with what is wrong. `skip` takes syncs out, by number or
    by the pattern of a path: a walk that finds nothing then proves nothing. `enough` failures end the walk early.
    Raises `AegisError` where there is no such disk, no C compiler, or a scenario that fails by itself.
    """
    found = Walk()
    with tempfile.TemporaryDirectory(prefix="aegis-crash-") as name:
        folder = Path(name).resolve()
        library = compiled(folder)
        with closing(_Run(library, folder, scenario, skip)) as whole:
            whole.finish()
            found.syncs = whole.log()
            _look(found, whole, check)
        upcoming = ((n, when) for n in count(1) for when in ("before", "after"))
        running: deque[_Run] = deque()
        try:
            while enough is None or len(found.failures) < enough:
                while len(running) < workers:
                    running.append(_Run(library, folder, scenario, skip, next(upcoming)))
                with closing(running.popleft()) as run:
                    if not run.finish() and run.at[0] > len(found.syncs):
                        break  # it came to its end before that many syncs, and so will those that follow
                    _look(found, run, check)
        finally:
            for run in running:
                run.close()
    return found


def _look(found: Walk, run: _Run, check: Check) -> None:
    for loss, disk in (("kill -9", run.disk), ("power loss", run.shadow)):
        crash = Crash(run.at[0] if run.died else 0, run.at[1], loss)  # type: ignore[arg-type]
        found.crashes.append(crash)
        with tempfile.TemporaryDirectory(dir=run.folder) as copy:
            left, notes = Path(copy, "disk"), Path(copy, "notes")
            shutil.copytree(disk, left, ignore=lambda _folder, names: [n for n in names if n.endswith(".sock")])
            shutil.copytree(run.notes, notes)
            try:
                check(left, notes)
            except Exception as error:  # what a trio run raises comes in groups
                cause = root_cause(error)
                if not isinstance(cause, AssertionError | AegisError):
                    raise
                found.failures[crash] = str(cause)


def compiled(folder: Path) -> Path:
    """Return the library, built into this folder; raises `AegisError` with the reason when it cannot be."""
    if sys.platform != "linux":
        raise AegisError("the crash harness works on Linux only: elsewhere a library cannot be put under a process so")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise AegisError("the crash harness needs a C compiler (`cc`) on PATH")
    library = folder / "crashdisk.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AegisError(f"the crash harness could not be built: {done.stderr}")
    return library


class _Run:
    """One run of the scenario on a disk of its own."""

    def __init__(
        self, library: Path, folder: Path, scenario: Sequence[str], skip: str | int, at: tuple[int, str] = (0, "after")
    ) -> None:
        self.at, self.died = at, False
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.disk, self.shadow, self.notes = (self.folder / name for name in ("disk", "shadow", "notes"))
        for place in (self.disk, self.shadow, self.notes):
            place.mkdir()
        self._log = self.folder / "syncs"
        settings = {
            "LD_PRELOAD": str(library), "CRASHDISK_FOLDER": str(self.disk), "CRASHDISK_SHADOW": str(self.shadow),
            "CRASHDISK_SKIP": str(skip), "CRASHDISK_LOG": str(self._log),
        } | ({"CRASHDISK_KILL": f"{at[0]}:{at[1]}"} if at[0] else {})  # fmt: skip
        self._process = subprocess.Popen(
            [*scenario, str(self.disk), str(self.notes)], env=os.environ | settings, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self) -> None:
        """End the run, if it still goes, and remove its disk."""
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self.folder)

    def finish(self) -> bool:
        """Wait for the end and say whether it was the one we gave; raises `AegisError` when it failed by itself."""
        try:
            _, words = self._process.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            raise AegisError(f"the scenario did not end within {_LONGEST} s (sync {self.at[0]})") from None
        self.died = self._process.returncode == -signal.SIGKILL
        if self._process.returncode and not self.died:
            raise AegisError(f"the scenario failed by itself (exit {self._process.returncode}): {words}")
        return self.died

    def log(self) -> list[str]:
        """Return the path of every sync, in order."""
        return [line.split(" ", 1)[1] for line in self._log.read_text().splitlines()] if self._log.exists() else []
