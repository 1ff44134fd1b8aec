"""A recipient's mailbox and the letters in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import trio

from aegis.envelope import Envelope, State
from aegis.events import TurnEnded


class Caps(NamedTuple):
    """How much mail is taken: letters and bytes not done with of one recipient, and the bytes that one turn reads."""

    letters: int = 1_000
    size: int = 4_000_000
    turn: int = 200_000


@dataclass(slots=True, eq=False)
class Letter:
    """An envelope that is not done with."""

    envelope: Envelope
    state: State = "accepted"
    turn: str = ""
    position: int = 0
    size: int = 0
    dead: bool = False
    ended: TurnEnded | None = None
    over: trio.Event = field(default_factory=trio.Event)
    number: int = field(default_factory=count().__next__)  # they rise in the ledger's order


class Mailbox:
    """What waits for one recipient, in the ledger's order, and its turns so far; `busy` unless it takes one at once.

    `held`, `letters` and `size` are of everything not done with: what is in a turn or in a carrier's hands, too.
    """

    def __init__(self, label: str) -> None:
        self.label, self.busy, self.closed, self.woken = label, True, "", False
        self.turns, self.cost_usd, self.cost_unknown, self.letters, self.size = 0, 0.0, 0, 0, 0
        self.waiting: deque[Letter] = deque()
        self.held: dict[str, Letter] = {}
        self.cut_in: Callable[[], object] = lambda: None
        self._arrived = trio.Event()

    def count(self, size: int, letters: int = 1) -> None:
        """Take so many bytes more, or less, into account."""
        self.size, self.letters = self.size + size, self.letters + letters

    def full(self, envelope: Envelope, caps: Caps) -> str:
        """Return why there is no room for it, empty when there is; a person may fill it twice as far as others do."""
        times, size = 1 + envelope.sender.startswith("human:"), size_of(envelope)
        if size > caps.turn:
            what = f"the message has {size:,} bytes, and one turn reads {caps.turn:,} (limits.turn_bytes)"
            return f"{what}; put it into a file and hand over the file's path"
        if self.letters >= caps.letters * times:
            why = f"it has {self.letters:,} messages (limits.mailbox_letters is {caps.letters:,})"
        elif self.size + size > caps.size * times:
            why = f"with this message it would have {self.size + size:,} bytes (limits.mailbox_bytes is {caps.size:,})"
        else:
            return ""
        return f"the mailbox of {self.label} is full: {why}. Nothing was sent; try again when it has been read"

    def ended(self, cost_usd: float | None) -> None:
        """Count a turn that is over and cost so much, None when nobody knows."""
        self.turns, self.cost_usd = self.turns + 1, self.cost_usd + (cost_usd or 0)
        self.cost_unknown += cost_usd is None

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

    def take(self, most: int | None = None) -> list[Letter]:
        """Take everything that waits, or as much as fits into so many bytes, but one letter at least.

        What is urgent, and what people wrote, goes before the rest when not everything fits.
        """
        if most is None or sum(x.size for x in self.waiting) <= most:
            letters, self.waiting = list(self.waiting), deque()
            return letters
        chosen: list[Letter] = []
        for letter in sorted(self.waiting, key=lambda x: not first(x.envelope)):
            most -= letter.size
            if most < 0 and chosen:
                break
            chosen.append(letter)
        self.waiting = deque(x for x in self.waiting if x not in chosen)
        return sorted(chosen, key=lambda x: x.number)


def size_of(envelope: Envelope) -> int:
    """Return how many bytes of a prompt the envelope is."""
    return len(envelope.rendered().encode(errors="surrogatepass")) + 2


def first(envelope: Envelope) -> bool:
    """Return whether it is read before others: it is urgent, or a person wrote it."""
    return envelope.urgency == "interrupt" or envelope.sender.startswith("human:")
