"""Mail: the only way to reach an agent. Accepted means on disk; what is on disk is delivered, whatever dies.

Book `mail`: `accepted` (key: envelope) → `injected` (the CLI showed that it took it) → `ended`, or `dead`; and
`turn` (key: turn) with how it ended. The same fold serves a live commit and a replay, so both agree by construction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from aegis.bus import Bus
from aegis.clock import Clock, new_id, stamp
from aegis.envelope import Envelope, Receipt, State
from aegis.errors import NotFound, Refused
from aegis.events import Delivered, TurnEnded
from aegis.ledger import Draft, Ledger, Record

MAX_HOPS = 64  # how many agents may answer one another before a person must say something
_SNAPSHOT_EVERY = 5_000
SYSTEM = "system"


@dataclass(slots=True)
class Letter:
    """An envelope that is not done with."""

    envelope: Envelope
    state: State = "accepted"
    turn: str = ""


class Mailbox:
    """What waits for one recipient, in the order of the ledger; `busy` unless a letter would be taken at once."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.waiting: deque[Letter] = deque()
        self.busy, self.closed = True, ""
        self.cut_in: Callable[[], None] = lambda: None
        self._arrived = trio.Event()

    def put(self, letter: Letter) -> None:
        """Add a letter at the end and wake who waits."""
        self.waiting.append(letter)
        self._arrived.set()

    def put_back(self, letters: Iterable[Letter]) -> None:
        """Return letters that were taken and not given to the CLI."""
        self.waiting.extendleft(reversed(list(letters)))
        if self.waiting:
            self._arrived.set()

    async def wait(self) -> None:
        """Wait until something is waiting."""
        while not self.waiting:
            self._arrived = trio.Event()
            await self._arrived.wait()

    def take(self) -> list[Letter]:
        """Take everything that waits."""
        letters, self.waiting = list(self.waiting), deque()
        return letters


class Post:
    """Accepts, holds and accounts for every envelope."""

    def __init__(self, ledger: Ledger, bus: Bus, clock: Clock) -> None:
        self._book, self._bus, self._clock = ledger.book("mail"), bus, clock
        self._boxes: dict[str, Mailbox] = {}
        self._letters: dict[str, Letter] = {}
        self._positions: dict[str, int] = {}
        self._waiters: dict[str, list[trio.Event]] = {}
        self._upto, self._snapshot_at = 0, _SNAPSHOT_EVERY
        ledger.on_commit(self._committed)

    def mailbox(self, address: str, label: str = "") -> Mailbox:
        """Return the mailbox of an agent id or `human:<user>`, made when it is new."""
        return self._boxes.setdefault(address, Mailbox(label or address))

    def _box(self, address: str) -> Mailbox | None:
        return self.mailbox(address) if address.startswith("human:") else self._boxes.get(address)

    def letters(self, address: str = "") -> list[Letter]:
        """Return the letters not done with, of one recipient or of all, oldest first."""
        return [x for x in self._letters.values() if address in ("", x.envelope.recipient)]

    # -- the fold -----------------------------------------------------------------------------------------------

    def _committed(self, records: list[Record]) -> None:
        for record in records:
            if record.book == "mail":
                self._apply(record)
                if letter := self._letters.get(record.key) if record.kind == "accepted" else None:
                    self._announce(letter, record.data)

    def _announce(self, letter: Letter, data: dict[str, Any]) -> None:
        address, box = letter.envelope.recipient, self._boxes[letter.envelope.recipient]
        position = len(box.waiting) if box.busy else 0
        if letter.envelope.id in self._positions:
            self._positions[letter.envelope.id] = position
        self._bus.publish(address, Delivered(data, position))
        if letter.envelope.urgency == "interrupt":
            box.cut_in()

    def _apply(self, record: Record) -> None:
        self._upto = record.seq
        match record.kind:
            case "accepted":
                self._hold(Letter(msgspec.convert(record.data, Envelope)))
            case "injected" if letter := self._letters.get(record.key):
                letter.state, letter.turn = "injected", record.data["turn"]
            case "ended" | "dead" | "read":
                self._letters.pop(record.key, None)

    def _hold(self, letter: Letter) -> None:
        envelope = letter.envelope
        self._letters[envelope.id] = letter
        self.mailbox(envelope.recipient).put(letter)

    def restore(self) -> list[Letter]:
        """Rebuild the mailboxes from the ledger and return the letters whose turn was in flight."""
        state, records = self._book.replay()
        for envelope, letter_state, turn in state or ():
            self._hold(Letter(msgspec.convert(envelope, Envelope), letter_state, turn))
        for record in records:
            self._apply(record)
        flying = [x for x in self._letters.values() if x.state == "injected"]
        for box in self._boxes.values():
            box.waiting = deque(x for x in box.waiting if x.state == "accepted" and x.envelope.id in self._letters)
        return flying

    async def _snapshot(self) -> None:
        if self._upto >= self._snapshot_at:
            self._snapshot_at = self._upto + _SNAPSHOT_EVERY
            state = [(msgspec.to_builtins(x.envelope), x.state, x.turn) for x in self._letters.values()]
            await self._book.snapshot(state, self._upto)

    # -- what callers do ----------------------------------------------------------------------------------------

    def envelope(self, sender: str, recipient: str, body: str, **more: Any) -> Envelope:
        """Return a fresh envelope, sent now; its trace begins with itself unless one is given."""
        made = new_id()
        more.setdefault("trace", made)
        return Envelope(made, sender, recipient, stamp(self._clock.now()), body, **more)

    def accept(self, envelope: Envelope) -> Draft:
        """Return the record that accepts the envelope, to be stored together with others; it is delivered then."""
        return self._book.draft("accepted", envelope.id, **msgspec.to_builtins(envelope))

    async def deliver(self, envelope: Envelope, *together: Draft) -> Receipt:
        """Store the envelope (and other records with it, all or none) and return the receipt; an id delivers once.

        Raises `Refused` when the recipient takes no mail or the envelope went through too many hands.
        """
        box = self._box(envelope.recipient)
        if box is None:
            raise NotFound(f"there is no mailbox {envelope.recipient!r}")
        if box.closed:
            raise Refused(f"{box.label} takes no mail: {box.closed}")
        if envelope.hops > MAX_HOPS:
            raise Refused(f"this message went through {envelope.hops} agents since a person last spoke; stopping here")
        if envelope.id in self._letters:
            return self.receipt(envelope.id)
        self._positions[envelope.id] = 0
        try:
            await self._book.append_all(self.accept(envelope), *together)
        finally:
            position = self._positions.pop(envelope.id)
        if box.closed:  # it closed while the disk worked
            await self.bury([self._letters[envelope.id]], box.closed)
        return Receipt(envelope.id, box.label, "accepted" if not box.closed else "dead", position, reason=box.closed)

    def find(self, envelope_id: str) -> tuple[Envelope, Receipt]:
        """Return an envelope and what became of it; raises `NotFound`."""
        records = self._book.find(envelope_id)
        if not records or records[0].kind != "accepted":
            raise NotFound(f"there is no message {envelope_id!r}")
        envelope, last = msgspec.convert(records[0].data, Envelope), records[-1]
        state: State = "ended" if last.kind == "read" else last.kind  # type: ignore[assignment]
        label = self._boxes[envelope.recipient].label if envelope.recipient in self._boxes else envelope.recipient
        more = {k: last.data.get(k, "") for k in ("outcome", "reason", "turn")} if last.kind != "accepted" else {}
        return envelope, Receipt(envelope_id, label, state, **more)

    def receipt(self, envelope_id: str) -> Receipt:
        """Return what became of an envelope; raises `NotFound`."""
        return self.find(envelope_id)[1]

    async def wait_turn(self, envelope_id: str) -> TurnEnded:
        """Wait for the turn that carried this envelope and return how it ended; a dead letter counts as failed."""
        if envelope_id in self._letters:
            event = trio.Event()
            self._waiters.setdefault(envelope_id, []).append(event)
            await event.wait()
        receipt = self.receipt(envelope_id)
        if receipt.state == "dead":
            return TurnEnded("failed", reason=f"dead letter: {receipt.reason}")
        turn = self._book.find(receipt.turn)
        return msgspec.convert(turn[-1].data, TurnEnded) if turn else TurnEnded("completed")

    # -- what agents do -----------------------------------------------------------------------------------------

    async def injected(self, letters: Sequence[Letter], turn: str, *together: Draft) -> None:
        """Record that the CLI took the letters as this turn."""
        await self._book.append_all(*(self._note("injected", x, turn=turn) for x in letters), *together)

    async def ended(self, letters: Sequence[Letter], ended: TurnEnded, *, tell: bool = False) -> None:
        """Record how the turn of these letters ended and wake who waits; with `tell`, write to their senders too."""
        note = {"turn": ended.turn, "outcome": ended.outcome, "reason": ended.reason}
        drafts = [self._book.draft("turn", ended.turn, **msgspec.to_builtins(ended))]
        drafts += [self._note("ended", x, **note) for x in letters]
        if tell:
            drafts += self._to_senders(letters, f"turn {ended.outcome}: {ended.reason}")
        await self._book.append_all(*drafts)
        self._wake(letters)
        await self._snapshot()

    async def bury(self, letters: Sequence[Letter], reason: str) -> None:
        """Make dead letters of these and tell their senders."""
        drafts = [self._note("dead", x, reason=reason) for x in letters]
        if drafts:
            await self._book.append_all(*drafts, *self._to_senders(letters, f"not delivered: {reason}"))
        self._forget(letters)
        self._wake(letters)

    async def read(self, letters: Sequence[Letter]) -> None:
        """Record that a person has seen these."""
        if letters:
            await self._book.append_all(*(self._note("read", x) for x in letters))
        self._forget(letters)

    def _forget(self, letters: Sequence[Letter]) -> None:
        gone = {x.envelope.id for x in letters}
        for box in map(self.mailbox, {x.envelope.recipient for x in letters}):
            box.waiting = deque(x for x in box.waiting if x.envelope.id not in gone)

    def _note(self, kind: str, letter: Letter, **data: str) -> Draft:
        return self._book.draft(kind, letter.envelope.id, recipient=letter.envelope.recipient, **data)

    def _to_senders(self, letters: Sequence[Letter], what: str) -> list[Draft]:
        drafts = []
        for e in (x.envelope for x in letters):
            box = self._box(e.sender_id)
            if e.sender != SYSTEM and box and not box.closed:
                body = f"Your message {e.id} to {self.mailbox(e.recipient).label}: {what}"
                news = self.envelope(SYSTEM, e.sender_id, body, in_reply_to=e.id, trace=e.trace, hops=e.hops + 1)
                drafts.append(self.accept(news))
        return drafts

    def _wake(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            for event in self._waiters.pop(letter.envelope.id, ()):
                event.set()
