"""Those who wait for a pattern hear of it as soon as a run says it: a server that comes up does not end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from aegis_terminal.job import Job
from aegis_terminal.lines import Lines
from aegis_terminal.record import TOLD, Interest
from aegis_terminal.terminal import Terminal
from aegis_terminal.text import plain


class Lookout:
    """Watches one run, also past its time; `tell` is called once for each who waits, with the lines up to theirs."""

    def __init__(
        self,
        terminal: Terminal,
        job: Job,
        wishes: Callable[[], Mapping[str, Interest]],
        tell: Callable[[str, str], None],
    ) -> None:
        self._terminal, self._job, self._wishes, self._tell = terminal, job, wishes, tell
        self._lines, self._last = Lines(terminal.secrets), deque[str](maxlen=TOLD)
        self._found: set[str] = set()
        terminal.display.viewers.add(self)

    def __call__(self, data: bytes) -> None:
        """Look at what is said while it is the run that says it."""
        if self._job.over.is_set() or not data:
            self._terminal.display.viewers.discard(self)
        elif self._job.begun:
            self._lines.feed(data)
            if said := self._lines.take():
                self._look(said)

    def _look(self, said: bytes) -> None:
        waiting = {w: i for w, i in self._wishes().items() if i.at_once and w not in self._found | self._job.told}
        if not waiting:
            return
        for line in self._terminal.secrets.cut(plain(said)).splitlines():
            self._last.append(line)
            for who in [who for who, interest in waiting.items() if interest.is_in(line)]:
                del waiting[who]
                self._found.add(who)
                self._tell(who, "\n".join(self._last))
