"""Mail: the only way to reach an agent. Accepted means on disk; what is on disk is delivered, whatever dies.

Book `mail`: `accepted` (key: envelope) → `injected` (the CLI showed that it took it, or a carrier has it on its way)
→ `ended`, or `dead`, or `read` by a person; and `turn` (key: turn) with how it ended. One fold serves live commits and
replay alike, so both agree. Every address with a kind (`peer:ann@mars`) has a mailbox; agents have theirs by their id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from aegis.bus import Bus
from aegis.clock import Clock
from aegis.envelope import Envelope, Receipt, State
from aegis.errors import LedgerError, Refused
from aegis.events import Delivered, Outcome, TurnEnded
from aegis.ledger import Draft, Ledger, Record
from aegis.mail_history import how_ended
from aegis.mailbox import Letter, size_of
from aegis.mailboxes import Mailboxes
from aegis.outbox import Outbox, carried_kind

SYSTEM = "system"


class Post(Mailboxes):
    """Accepts, holds and accounts for every envelope."""

    def __init__(self, ledger: Ledger, bus: Bus, clock: Clock) -> None:
        super().__init__(ledger, clock)
        self._bus = bus
        self._turn: Record | None = None  # the one that ended last
        self.recent: deque[str] = deque(maxlen=50)  # the ids of the newest messages

    def carry(self, kind: str) -> Outbox:
        """Return the mail to `kind:…`, all of it that is not done with, for the plugin that acts; raises `Taken`.

        It goes with its plugin, and its letters then wait for the next carrier of the kind.
        """
        outbox = Outbox(self, kind, self.mailbox(f"{kind}:"))
        self.carriers.add(kind, outbox)
        outbox.begin([x for x in self._letters.values() if x.envelope.recipient.startswith(f"{kind}:")])
        return outbox

    def keep_only(self, agents: Collection[str]) -> Iterator[Letter]:
        """Forget the mailboxes of other agents than these; who asks gets the letters that wait for them."""
        self._boxes = {a: box for a, box in self._boxes.items() if a in agents or ":" in a}
        return (x for x in self._letters.values() if x.state == "accepted" and self._box(x.envelope.recipient).closed)

    def letters(self, address: str = "") -> list[Letter]:
        """Return the letters not done with, of one recipient or of all, oldest first."""
        among = self._box(address).held if address else self._letters
        return [x for x in among.values() if address in ("", x.envelope.recipient)]

    def restore(self) -> list[Letter]:
        """Rebuild the mailboxes from the ledger and return the letters whose turn was in flight."""
        self._book.fold(self._begin, self._apply, self._state, ends=("ended", "dead", "read", "turn"))
        self._live = True
        return [x for x in self._letters.values() if x.state == "injected" and not carried_kind(x.envelope.recipient)]

    def _begin(self, snapshot: Any) -> None:
        for envelope, state, turn in snapshot["letters"]:
            self._hold(Letter(msgspec.convert(envelope, Envelope), state, turn))
        for address, (turns, cost, *unknown) in snapshot["turns"].items():
            box = self.mailbox(address)
            box.turns, box.cost_usd, box.cost_unknown = turns, cost, sum(unknown)
        self.recent.extend(snapshot.get("recent", ()))

    def _state(self) -> Any:
        letters = [(msgspec.to_builtins(x.envelope), x.state, x.turn) for x in self._letters.values()]
        turns = {a: (b.turns, b.cost_usd, b.cost_unknown) for a, b in self._boxes.items() if b.turns}
        return {"letters": letters, "turns": turns, "recent": list(self.recent)}

    def _apply(self, record: Record) -> None:
        self._known = record.seq
        match record.kind:
            case "accepted" if record.key not in self._letters:
                new = self._hold(Letter(msgspec.convert(record.data, Envelope)))
                self.recent.append(record.key)
                if self._live:
                    self._bus.publish(new.envelope.recipient, Delivered(record.data, new.position))
            case "injected" if letter := self._letters.get(record.key):
                letter.state, letter.turn = "injected", record.data["turn"]
                self._forget(letter)
            case "ended" | "dead" | "read":
                for key in (record.key, *record.data.get("also", ())):
                    if done := self._letters.get(key):
                        self._done(done, how_ended(record, self._turn))
            case "turn" if agent := record.data.get("agent"):
                self._turn = record
                self._box(agent).ended(record.data.get("cost_usd"))

    def _hold(self, letter: Letter) -> Letter:
        envelope, letter.size = letter.envelope, size_of(letter.envelope)
        self._letters[envelope.id], box = letter, self._box(envelope.recipient)
        box.held[envelope.id] = letter
        box.count(letter.size)
        if letter.state == "accepted":
            box.put(letter)
        letter.position = len(box.waiting) if box.busy else 0
        if self._live and envelope.urgency == "interrupt":
            box.cut_in()
        return letter

    def _forget(self, letter: Letter) -> None:
        with suppress(ValueError):  # it waits no more
            self._box(letter.envelope.recipient).waiting.remove(letter)

    def _done(self, letter: Letter, ended: TurnEnded | None = None) -> None:
        self._forget(letter)
        if self._letters.pop(letter.envelope.id, None):
            box = self._box(letter.envelope.recipient)
            box.count(-letter.size, -1)
            box.held.pop(letter.envelope.id, None)
        letter.ended = ended
        letter.over.set()

    async def deliver(self, envelope: Envelope, *together: Draft, short: str = "") -> Receipt:
        """Store the envelope (and other records with it, all or none) and return the receipt; an id delivers once.

        Raises `Refused` as `accept` does.
        """
        draft, box, size = self.accept(envelope, short), self._box(envelope.recipient), size_of(envelope)
        box.count(size)  # until it is there: of many at once none sees the room that another takes
        try:
            new = await self._ledger.append(draft, *together, once=True)
        finally:
            box.count(-size, -1)
        if not new:
            return self.receipt(envelope.id)
        letter = self._letters.get(envelope.id)
        if box.closed and letter:  # it closed while the disk worked
            await self.dead_letter([letter], box.closed)
        return self._receipt(envelope, "dead" if box.closed else "accepted", letter)

    def _receipt(self, envelope: Envelope, state: State, letter: Letter | None) -> Receipt:
        reason = self._box(envelope.recipient).closed
        if state == "accepted" and not self._read(envelope.recipient):
            reason = f"waits until something carries mail to {carried_kind(envelope.recipient)}:…"
        position = letter.position if letter else 0
        return Receipt(envelope.id, self.label(envelope.recipient), state, position, reason=reason)

    def receipt(self, envelope_id: str) -> Receipt:
        """Return what became of an envelope; raises `NotFound`."""
        if (letter := self._letters.get(envelope_id)) and letter.state == "accepted":
            return self._receipt(letter.envelope, "accepted", letter)
        return self.find(envelope_id)[1]

    async def wait_turn(self, envelope_id: str) -> TurnEnded:
        """Wait for the turn that carried this envelope and return how it ended; a dead letter counts as failed."""
        if letter := self._letters.get(envelope_id):
            await letter.over.wait()
            if letter.ended:
                return letter.ended
        if (ended := self.end_of(envelope_id)) is None:
            raise LedgerError(f"the turn of message {envelope_id} is over, but how it ended could not be stored")
        return ended

    def taken(self, letters: Sequence[Letter], turn: str) -> None:
        """Have it recorded, before whatever is stored later, that the CLI took the letters as this turn."""
        self._ledger.ride(*self._drafts("injected", letters, turn=turn))

    async def injected(self, letters: Sequence[Letter]) -> None:
        """Record that a carrier has the letters on their way."""
        await self._note("injected", letters, turn="")

    async def ended(self, letters: Sequence[Letter], ended: TurnEnded, *, tell: bool = False) -> None:
        """Record how the turn of these letters ended and wake who waits; with `tell`, write to their senders too."""
        news = self._to_senders(letters, f"turn {ended.outcome}: {ended.reason}") if tell else []
        turn = self._book.draft("turn", ended.turn, agent=letters[0].envelope.recipient, **msgspec.to_builtins(ended))
        await self._note("ended", letters, turn, *news, turn=ended.turn, outcome=ended.outcome, reason=ended.reason)

    async def carried(self, letter: Letter, outcome: Outcome, reason: str) -> None:
        """Record what a carrier says became of a letter."""
        await self._note("ended", [letter], turn="", outcome=outcome, reason=reason)

    async def dead_letter(self, letters: Sequence[Letter], reason: str, *together: Draft) -> None:
        """Make dead letters of these and tell their senders, in one append with what is stored together with that."""
        letters = [x for x in letters if not x.dead]  # of two who do this to a letter the second only waits
        for letter in letters:
            letter.dead = True
        news = self._to_senders(letters, f"not delivered: {reason}")
        await self._note("dead", letters, *together, *news, reason=reason)

    async def read(self, letters: Sequence[Letter]) -> None:
        """Record that a person has seen these: one record, about the first, names the others also."""
        await self._note("read", letters[:1], also=[x.envelope.id for x in letters[1:]])

    async def _note(self, kind: str, letters: Sequence[Letter], *together: Draft, **data: Any) -> None:
        try:
            await self._ledger.append(*together, *self._drafts(kind, letters, **data))
        except LedgerError:
            for letter in letters if kind != "injected" else ():
                self._done(letter)  # nobody waits for what cannot be known; a restart reads what is stored
            raise

    def _drafts(self, kind: str, letters: Sequence[Letter], **data: Any) -> list[Draft]:
        return [self._book.draft(kind, x.envelope.id, recipient=x.envelope.recipient, **data) for x in letters]

    def _to_senders(self, letters: Sequence[Letter], what: str) -> list[Draft]:
        drafts = []
        for e in (x.envelope for x in letters):
            box = self._box(e.sender_id)
            if e.sender != SYSTEM and not box.closed:
                body = f"Your message {e.id} to {self.label(e.recipient)}: {what}"
                news = self.envelope(SYSTEM, e.sender_id, body, in_reply_to=e.id, trace=e.trace, hops=e.hops)
                with suppress(Refused):
                    drafts.append(self.accept(news, body))
        return drafts
