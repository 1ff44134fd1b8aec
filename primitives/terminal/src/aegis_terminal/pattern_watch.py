"""Subscribers to a pattern are told as soon as a line of a run matches: a server that comes up does not end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from aegis_terminal.job import Job
from aegis_terminal.line_buffer import LineBuffer
from aegis_terminal.plain_text import plain
from aegis_terminal.terminal import Terminal
from aegis_terminal.values import TOLD, Interest


class PatternWatch:
    """Watches the output of one run, also past its time limit; `tell` is called once for each subscriber.

    It is called with the subscriber's address and the last lines up to the match.
    """

    def __init__(
        self,
        terminal: Terminal,
        job: Job,
        interests: Callable[[], Mapping[str, Interest]],
        tell: Callable[[str, str], None],
    ) -> None:
        self._terminal, self._job, self._interests, self._tell = terminal, job, interests, tell
        self._lines, self._last = LineBuffer(terminal.secrets), deque[str](maxlen=TOLD)
        self._found: set[str] = set()
        terminal.display.viewers.add(self)

    def __call__(self, data: bytes) -> None:
        """Look at new output as long as it is the run's."""
        if self._job.over.is_set() or not data:
            self._terminal.display.viewers.discard(self)
        elif self._job.begun and (waiting := self._waiting()):
            self._lines.feed(data)
            if said := self._lines.take():
                self._look(said, waiting)

    def _waiting(self) -> dict[str, Interest]:
        return {w: i for w, i in self._interests().items() if i.at_once and w not in self._found | self._job.told}

    def _look(self, said: bytes, waiting: dict[str, Interest]) -> None:
        for line in self._terminal.secrets.cut(plain(said)).splitlines():
            self._last.append(line)
            for who in [who for who, interest in waiting.items() if interest.is_in(line)]:
                del waiting[who]
                self._found.add(who)
                self._tell(who, "\n".join(self._last))
