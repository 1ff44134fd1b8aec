"""The records of a run and of a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

HALF = 32_768  # characters of the beginning, and of the end, that a record keeps
CLOSED, NOT_TAKEN = "pty closed", "the shell did not take the command"
TOLD = 8  # lines of output in a letter to subscribers
_WIDEST, _ERRORS, _COMMAND = 200, 4, 500


TIMED_OUT = 124  # the exit code of `timeout`, too


class Run(msgspec.Struct, frozen=True):
    """A command that was run: by whom, how it ended (`exit` is None when the shell gave no code), its output."""

    seq: int
    cmd: str
    writer: str
    started_at: str
    finished_at: str | None = None
    duration_s: float | None = None
    exit: int | None = None
    stdout: str = ""
    stderr: str = ""
    killed_by_restart: bool = False
    timed_out: bool = False

    def __str__(self) -> str:
        body = self.stdout if self.stdout.endswith("\n") or not self.stdout else f"{self.stdout}\n"
        return f"{body}[{self.seq}] {self.ending}" + (f"\n{self.stderr}" if self.stderr else "")

    def shortened(self, most: int) -> Run:
        """Return it with at most so many characters of its output, the last ones."""
        if (more := len(self.stdout) - most) <= 0:
            return self
        said = f"… ({more:,} characters left out; read it alone: since_seq={self.seq - 1}, last_n=1) …\n"
        return msgspec.structs.replace(self, stdout=said + self.stdout[more:])

    @property
    def exit_code(self) -> int:
        """How a shell ends that ran it: with its own code, 124 after a time-out, 1 when there is no code."""
        if self.timed_out:
            return TIMED_OUT
        return self.exit if self.exit is not None else 1

    @property
    def ending(self) -> str:
        """How it ended, in words: `exit 0 · 1.25s`."""
        took = f"{self.duration_s or 0:.2f}s"
        if self.killed_by_restart:
            return "killed by restart"
        if self.finished_at is None:
            return f"still running · {took}"
        if self.timed_out:
            return f"timed out · {took}"
        return f"exit {self.exit} · {took}" if self.exit is not None else f"{self.stderr or 'ended'} · {took}"

    @property
    def notice(self) -> str:
        """The letter to subscribers."""
        first, *more = self.cmd.splitlines() or [""]
        cmd = _cut(first, _COMMAND) + (f" … ({len(more)} more lines)" if more else "")
        said = [_cut(line, _WIDEST) for line in self.stdout.splitlines()[-TOLD:]]
        errors = [_cut(line, _WIDEST) for line in self.stderr.splitlines()[-_ERRORS:]]
        errors = ["── stderr ──", *errors] if errors else []
        return "\n".join([f"$ {cmd}  · run by {self.writer}", self.ending, "──", *said, *errors])


class Interest(msgspec.Struct, frozen=True):
    """Which runs a subscriber wants mail about: all, or those with this in a line or with this exit code.

    A `*` in the pattern matches anything within a line.
    """

    pattern: str = ""
    exit: str = ""

    def wants(self, run: Run) -> bool:
        """Return whether this run is one of them."""
        match self.exit:
            case "":
                right = True
            case "nonzero":
                right = run.exit != 0
            case code:
                right = str(run.exit) == code
        return right and (not self.pattern or any(map(self.is_in, f"{run.stdout}\n{run.stderr}".splitlines())))

    @property
    def at_once(self) -> bool:
        """True for a pattern without an exit code: the mail need not wait for the end of the run."""
        return bool(self.pattern) and not self.exit

    def is_in(self, line: str) -> bool:
        """Return whether a line matches."""
        at = 0
        for part in self.pattern.split("*"):  # each as early as possible: linear time for any pattern of an agent
            found = line.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return True


class TerminalRecord(msgspec.Struct):
    """A terminal as the book has it: `runs` is the next number, `open` the runs that have begun and not ended."""

    id: str
    name: str
    shell: str
    cwd: str
    started_at: str
    by: str
    by_id: str = ""  # of the agent that opened it, or for which it was opened
    runs: int = 0
    open: dict[str, Run] = {}
    closed: str = ""
    last_cmd_at: str | None = None
    last_exit: int | None = None
    subscribers: dict[str, Interest] = {}


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"


def moment(when: datetime) -> str:
    """Return `2026-01-05T10:00:09.125Z`."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def run_of(data: dict[str, Any]) -> Run:
    """Return the run of a record's data."""
    return msgspec.convert({k: v for k, v in data.items() if k != "terminal"}, Run)
