"""A recipient's mailbox and the letters in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import trio

from aegis.envelope import Envelope, State
from aegis.events import TurnEnded


@dataclass(slots=True, eq=False)
class Letter:
    """An envelope that is not done with."""

    envelope: Envelope
    state: State = "accepted"
    turn: str = ""
    position: int = 0
    dead: bool = False
    ended: TurnEnded | None = None
    over: trio.Event = field(default_factory=trio.Event)
    number: int = field(default_factory=count().__next__)  # they rise in the ledger's order


class Mailbox:
    """What waits for one recipient, in the ledger's order, and its turns so far; `busy` unless it takes one at once."""

    def __init__(self, label: str) -> None:
        self.label, self.busy, self.closed, self.woken = label, True, "", False
        self.turns, self.cost_usd = 0, 0.0
        self.waiting: deque[Letter] = deque()
        self.cut_in: Callable[[], object] = lambda: None
        self._arrived = trio.Event()

    def put(self, letter: Letter) -> None:
        """Add a letter at the end and wake who waits."""
        self.waiting.append(letter)
        self._arrived.set()

    def wake(self) -> None:
        """Let who waits go on though nothing may be waiting."""
        self.woken = True
        self._arrived.set()

    def put_back(self, letters: Sequence[Letter]) -> None:
        """Return letters that were taken and not given on; oldest first again, in whatever order they come back."""
        self.waiting = deque(sorted([*letters, *self.waiting], key=lambda letter: letter.number))
        self._arrived.set()

    async def wait(self) -> None:
        """Wait until something is waiting, or it is woken."""
        while not self.waiting and not self.woken:
            self._arrived = trio.Event()
            await self._arrived.wait()
        self.woken = False

    def take(self) -> list[Letter]:
        """Take everything that waits."""
        letters, self.waiting = list(self.waiting), deque()
        return letters
