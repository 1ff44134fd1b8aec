"""Standard input and output of a fake CLI: it does one thing at a time and hears what comes meanwhile."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from threading import Thread  # noqa: TID251 - this is no kernel: a process of its own with one blocking call at a time
from typing import TypeVar

T = TypeVar("T")
_GLANCE = 0.02  # seconds between two looks at something that cannot be waited for, a file for example


class Stdio:
    """Whole lines from standard input, given to `hear` as they come; whole lines to standard output."""

    def __init__(self, hear: Callable[[bytes], None]) -> None:
        self._hear = hear
        self._partial = b""
        self.closed = False
        self._woken, self._wake = os.pipe()

    def write(self, data: bytes) -> None:
        """Write all of it; the reader may take its time."""
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]

    def listen(self, seconds: float | None = None) -> None:
        """Wait until something comes, for at most so many seconds, and hear it."""
        sources = [self._woken] if self.closed else [0, self._woken]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 64)
        if 0 not in ready:
            return
        data = os.read(0, 1_048_576)
        self.closed = not data
        *lines, self._partial = (self._partial + data).split(b"\n")
        if self.closed and self._partial:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._hear(line)

    def wait(self, over: Callable[[], bool], seconds: float | None = None, *, glance: bool = False) -> None:
        """Hear until `over()` or until the time is up; with `glance`, look again and again though nothing comes."""
        end = None if seconds is None else time.monotonic() + seconds
        while not over():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return
            self.listen(_GLANCE if glance else left)

    def aside(self, work: Callable[[], T], stop: Callable[[], bool], undo: Callable[[], None]) -> T | None:
        """Return what the blocking work returns, or raise what it raises, hearing meanwhile.

        Once `stop()` is true, `undo()` is to end the work, and the answer is None.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's own thread
                errors.append(error)
            os.write(self._wake, b".")

        Thread(target=run, daemon=True).start()
        self.wait(lambda: bool(results or errors or stop()))
        if not results and not errors:
            undo()
            self.wait(lambda: bool(results or errors), 1)
            return None
        if errors:
            raise errors[0]
        return results[0]
