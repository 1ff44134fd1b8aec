"""Reports the output of a terminal line by line to a caller that waits."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from aegis import report
from aegis_terminal.line_buffer import LineBuffer
from aegis_terminal.plain_text import plain
from aegis_terminal.terminal import Terminal

_EVERY = 0.3  # seconds between two reports
_MOST = 8_192  # bytes of one report: of more, the newest


class Progress:
    """Inside, new lines are reported to the caller as long as `while_` holds; at the exit, the rest."""

    def __init__(self, terminal: Terminal, now: Callable[[], float], while_: Callable[[], bool] = lambda: True) -> None:
        self._terminal, self._now, self._while = terminal, now, while_
        self._lines, self._last = LineBuffer(terminal.secrets), now()
        self._caller = copy_context()  # the task that reads the terminal has no listener for reports

    def __enter__(self) -> None:
        self._terminal.display.viewers.add(self._see)

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._terminal.display.viewers.discard(self._see)
        self._tell(self._lines.rest())

    def _see(self, data: bytes) -> None:
        if self._while():
            self._lines.feed(data)
            self._lines.drop(_MOST)
            if self._now() - self._last >= _EVERY:
                self._tell(self._lines.take())

    def _tell(self, data: bytes) -> None:
        if data:
            self._last = self._now()
            if text := self._terminal.secrets.cut(plain(data)).strip("\n"):
                self._caller.run(report, text)
