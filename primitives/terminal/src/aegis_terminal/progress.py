"""What a terminal says, told line by line while somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

from aegis import report
from aegis_terminal.lines import Lines
from aegis_terminal.terminal import Terminal
from aegis_terminal.text import plain

_EVERY = 0.3  # seconds between two reports
_MOST = 8_192  # bytes of one report: of more, the newest


class Progress:
    """Inside, whole lines that are said `while_` are reported to who calls, soon; outside, what was left."""

    def __init__(self, terminal: Terminal, now: Callable[[], float], while_: Callable[[], bool] = lambda: True) -> None:
        self._terminal, self._now, self._while = terminal, now, while_
        self._lines, self._last = Lines(terminal.secrets), now()
        self._caller = copy_context()  # the terminal is read by a task in which nobody listens to reports

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
