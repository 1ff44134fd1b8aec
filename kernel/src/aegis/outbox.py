"""Mail that leaves this kernel: what waits for the addresses of one kind, for the plugin that carries it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aegis.envelope import Envelope
from aegis.errors import Refused
from aegis.events import Outcome
from aegis.mailbox import Letter, Mailbox

if TYPE_CHECKING:
    from aegis.mail import Post


class Outbox:
    """The letters to `kind:…`, for one carrier. Each is given at least once: its id tells whether it was there before.

    Letters are in the carrier's hands from `take` until it says what became of them or gives them back; what it has
    when it leaves, or when aegis dies, is given to the next carrier of the kind again.
    """

    def __init__(self, post: Post, kind: str, box: Mailbox) -> None:
        self._post, self.kind, self._box = post, kind, box
        self._taken: dict[str, Letter] = {}

    def begin(self, letters: Sequence[Letter]) -> None:
        """Have these wait, whoever had them before."""
        for letter in letters:
            letter.state = "accepted"
        self._box.waiting.clear()
        self._box.put_back(letters)

    async def take(self) -> list[Envelope]:
        """Wait until there is something to carry, and return all of it, oldest first."""
        await self._box.wait()
        letters = {letter.envelope.id: letter for letter in self._box.take()}
        self._taken |= letters
        return [letter.envelope for letter in letters.values()]

    async def in_flight(self, *envelopes: Envelope) -> None:
        """Record that these are on their way: their receipts say so."""
        with self._storing(envelopes) as letters:
            await self._post.injected(letters)
        self._taken |= {letter.envelope.id: letter for letter in letters}

    async def delivered(self, envelope: Envelope, outcome: Outcome = "completed", reason: str = "") -> None:
        """Record that it was accepted where it went, or how the turn that it caused there ended."""
        with self._storing([envelope]) as [letter]:
            await self._post.carried(letter, outcome, reason)

    async def failed(self, envelope: Envelope, reason: str) -> None:
        """Make a dead letter of it, and tell its sender why."""
        with self._storing([envelope]) as letters:
            await self._post.dead_letter(letters, reason)

    def put_back(self, *envelopes: Envelope) -> None:
        """Let these wait again, oldest first."""
        letters = self._hands(envelopes)
        for letter in letters:
            letter.state = "accepted"
            del self._taken[letter.envelope.id]
        self._box.put_back(letters)

    @contextmanager
    def _storing(self, envelopes: Sequence[Envelope]) -> Iterator[list[Letter]]:
        """Have nobody else say anything of these meanwhile; they are in hand again when it could not be stored."""
        letters = self._hands(envelopes)
        for letter in letters:
            self._taken.pop(letter.envelope.id, None)
        try:
            yield letters
        except BaseException:
            self._taken |= {letter.envelope.id: letter for letter in letters}
            raise

    def _hands(self, envelopes: Sequence[Envelope]) -> list[Letter]:
        if self._post.carriers.get(self.kind) is not self:
            raise Refused(f"this carrier of {self.kind!r} has left; what it had is another's now")
        if lost := [e.id for e in envelopes if e.id not in self._taken]:
            raise Refused(f"these are not in the hands of the carrier of {self.kind!r}: {', '.join(lost)}")
        return [self._taken[e.id] for e in envelopes]


def carried_kind(address: str) -> str:
    """Return the kind of an address whose mail a plugin carries, empty for an agent's id and for people."""
    kind, colon, _ = address.partition(":")
    return kind if colon and kind != "human" else ""
