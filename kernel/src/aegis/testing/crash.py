"""Crashes at every write: a process dies at each sync of its files, and what it would leave must still be whole.

`walk` runs a scenario once and holds it still just before and just after each sync. Two disks are copied each time:
what the process wrote (kill -9), and only what it had synced (power loss). To whoever reads a copy the process died
there; and as all copies are of one run, no sync is passed over, however many there are this time.
The disk is `crashdisk.c`, put under the process by LD_PRELOAD: no seam in the code under test, Linux only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aegis.errors import AegisError
from aegis.supervise import root_cause

_SOURCE = Path(__file__).with_name("crashdisk.c")
_LONGEST = 60  # seconds the run of a scenario may take

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


def walk(scenario: Sequence[str], check: Check, *, skip: str = "", enough: int | None = None) -> Walk:
    """Have the scenario die at every sync and return what `check` said of each disk that was left.

    The scenario is a command to which two folders are added: the first is the disk that can be lost, the second
    survives everything (what was acknowledged is noted there). `check(disk, notes)` recovers from copies of both and
    raises AssertionError (or an `AegisError` of the recovery) with what is wrong. `skip` takes out the syncs of paths
    of this pattern (a scenario may set `CRASHDISK_SKIP` itself, for one step of its own): a walk that finds nothing
    then proves nothing. `enough` failures end the walk early. Raises `AegisError` where there is no such disk, no
    C compiler, or a scenario that fails by itself.
    """
    found = Walk()
    with tempfile.TemporaryDirectory(prefix="aegis-crash-") as name:
        folder = Path(name).resolve()
        run = _Run(folder, scenario, skip)
        left = list(run.stops())  # all first: what a check takes would be lost time to the scenario, and its limits
        found.syncs = run.log()
        for crash, place in left:
            if enough is not None and len(found.failures) >= enough:
                break
            found.crashes.append(crash)
            try:
                check(place / "disk", place / "notes")
            except Exception as error:  # what a trio run raises comes in groups
                cause = root_cause(error)
                if not isinstance(cause, AssertionError | AegisError):
                    raise
                found.failures[crash] = str(cause)
            shutil.rmtree(place)
    return found


def compiled(folder: Path) -> Path:
    """Return the library, built into this folder; raises `AegisError` with the reason when it cannot be."""
    if sys.platform != "linux":
        raise AegisError("the crash harness works on Linux only: elsewhere a library cannot be put under a process so")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise AegisError("the crash harness needs a C compiler (`cc`) on PATH")
    library = folder / "crashdisk.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8", errors="replace")
    if done.returncode:
        raise AegisError(f"the crash harness could not be built: {done.stderr}")
    return library


class _Run:
    """One run of the scenario on a disk of its own, which it makes in the folder."""

    def __init__(self, folder: Path, scenario: Sequence[str], skip: str) -> None:
        self._folder = folder
        self._disk, self._shadow, self._notes = (folder / name for name in ("disk", "shadow", "notes"))
        for place in (self._disk, self._shadow, self._notes):
            place.mkdir()
        self._log, self._words = folder / "syncs", folder / "stderr"
        settings = {
            "LD_PRELOAD": str(compiled(folder)), "CRASHDISK_FOLDER": str(self._disk),
            "CRASHDISK_SHADOW": str(self._shadow), "CRASHDISK_SKIP": skip, "CRASHDISK_LOG": str(self._log),
        }  # fmt: skip
        with self._words.open("w", encoding="utf-8") as words:
            self._process = subprocess.Popen(
                [*scenario, str(self._disk), str(self._notes)], env=os.environ | settings, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=words,
            )  # fmt: skip

    def stops(self) -> Iterator[tuple[Crash, Path]]:
        """Run it to its end and yield each death with the folder that holds its `disk` and `notes`."""
        pid, late = self._process.pid, threading.Timer(_LONGEST, self._process.kill)
        late.start()
        try:
            number = 0
            while os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED:  # type: ignore[union-attr]
                yield from self._left(number // 2 + 1, "after" if number % 2 else "before")
                number += 1
                self._process.send_signal(signal.SIGCONT)
            if self._process.wait():
                words = self._words.read_text(errors="replace", encoding="utf-8")
                why = (
                    f"did not end within {_LONGEST} s"
                    if late.finished.is_set()
                    else f"failed by itself (exit {self._process.returncode}): {words}"
                )
                raise AegisError(f"the scenario {why}")
            yield from self._left(0, "after")
        finally:
            late.cancel()
            self._process.kill()
            self._process.wait()

    def _left(self, sync: int, when: When) -> Iterator[tuple[Crash, Path]]:
        losses: tuple[tuple[Loss, Path], ...] = (("kill -9", self._disk), ("power loss", self._shadow))
        for loss, disk in losses:
            place = self._folder / f"{sync}-{when}-{loss.replace(' ', '')}"
            shutil.copytree(disk, place / "disk", ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
            shutil.copytree(self._notes, place / "notes")
            yield Crash(sync, when, loss), place

    def log(self) -> list[str]:
        """Return the path of every sync, in order."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [line.split(" ", 1)[1] for line in lines]
