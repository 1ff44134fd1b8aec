"""What a terminal says, told line by line while somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from aegis_terminal.secrets import Secrets
from aegis_terminal.terminal import Terminal
from aegis_terminal.text import plain

_EVERY = 0.3  # seconds between two reports
_MOST = 8_192  # bytes of one report: of more, the newest


class Progress:
    """Inside, whole lines are told soon after they are said; outside, what was left."""

    def __init__(
        self, terminal: Terminal, secrets: Secrets, tell: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        self._terminal, self._secrets, self._tell, self._now = terminal, secrets, tell, now
        self._rest, self._last = bytearray(), now()

    def __enter__(self) -> None:
        self._terminal.viewers.add(self._see)

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._terminal.viewers.discard(self._see)
        self._flush(len(self._rest))

    def _see(self, data: bytes) -> None:
        self._rest += data
        if len(self._rest) > 2 * _MOST:
            del self._rest[:-_MOST]
        if self._now() - self._last >= _EVERY and (end := self._rest.rfind(b"\n") + 1):
            self._flush(end)

    def _flush(self, end: int) -> None:
        text = self._secrets.cut(plain(bytes(self._rest[:end]))).strip("\n")
        del self._rest[:end]
        self._last = self._now()
        if text:
            self._tell(text)
