"""A command that a caller wants run: it waits for its turn, runs, and has one end."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import trio

from aegis import AegisError, Caller
from aegis_terminal.capture import Capture
from aegis_terminal.values import Run


@dataclass(slots=True, eq=False)
class Job:
    """`typed` once the shell is told to run it, `begun` once its output starts, `over` once the shell reports its end.

    It is `doubted` when a prompt came instead of its beginning.
    """

    caller: Caller
    writer: str
    command: str
    limit: float
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    capture: Capture = field(default_factory=Capture)
    typed: bool = False
    begun: bool = False
    doubted: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    code: int | None = None
    trouble: str = ""
    started: float = 0.0
    run: Run | None = None
    error: AegisError | None = None
    told: set[str] = field(default_factory=set)  # subscribers that got mail before it ended
    done: trio.Event = field(default_factory=trio.Event)

    def end(self, code: int | None = None, trouble: str = "") -> None:
        """End it with an exit code, or with what went wrong; the first end counts."""
        if not self.over.is_set():
            self.code, self.trouble = code, trouble
            self.over.set()

    def fail(self, error: AegisError) -> None:
        """Have its caller get this error in place of a record."""
        self.error = self.error or error
        self.done.set()

    def answer(self) -> Run:
        """Return the record; raises the error when it failed."""
        if self.error:
            raise self.error
        assert self.run
        return self.run
