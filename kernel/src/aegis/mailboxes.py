"""Every recipient's mailbox, and what each of them takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aegis.clock import Clock, new_id, stamp
from aegis.envelope import Envelope
from aegis.errors import Refused
from aegis.ledger import Draft, Ledger
from aegis.mail_history import MailHistory
from aegis.mailbox import Caps, Mailbox
from aegis.outbox import Outbox, carried_kind
from aegis.registry import Registry

MAX_HOPS = 64  # how many agents may answer one another before a person must say something


class Mailboxes(MailHistory):
    """The mailboxes, and the way into them."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        super().__init__(ledger)
        self._clock, self._live = clock, False
        self._boxes: dict[str, Mailbox] = {}
        self.carriers: Registry[Outbox] = Registry("carrier of mail to")
        self.caps: Registry[Callable[[], Caps]] = Registry("limits of")  # `mail`: those in force

    def mailbox(self, address: str) -> Mailbox:
        """Return the mailbox of an agent id or an address, made when it is new; a carried kind has one for all."""
        kind = carried_kind(address)
        key = f"{kind}:" if kind else address
        if key not in self._boxes:
            self._boxes[key] = Mailbox(address)
        return self._boxes[key]

    def label(self, address: str) -> str:
        """Return what a recipient is called: an agent by its handle, everybody else by the address."""
        return address if ":" in address else self._box(address).label

    def _box(self, address: str) -> Mailbox:
        if box := self._boxes.get(address):
            return box
        if not self._live or ":" in address:
            return self.mailbox(address)
        gone = Mailbox(address)
        gone.closed = "it is gone"
        return gone

    def envelope(self, sender: str, recipient: str, body: str, **more: Any) -> Envelope:
        """Return a fresh envelope, sent now; its trace begins with itself unless one is given."""
        made = new_id()
        return Envelope(made, sender, recipient, stamp(self._clock.now()), body, **{"trace": made, **more})

    @property
    def limits(self) -> Caps:
        """How much mail is taken now."""
        return (self.caps.get("mail") or Caps)()

    def accept(self, envelope: Envelope, short: str = "") -> Draft:
        """Return the record that accepts the envelope, to be stored together with others; it is delivered then.

        What must not be lost has a `short` form, which is accepted instead where there is no room for the whole.
        Raises `Refused` when the recipient takes no mail, has no room, or the envelope went through too many hands.
        """
        box = self._box(envelope.recipient)
        if box.closed:
            raise Refused(f"{box.label} takes no mail: {box.closed}")
        if envelope.hops > MAX_HOPS:
            raise Refused(f"this message went through {envelope.hops} agents since a person last spoke; stopping here")
        if much := box.full(envelope, self.limits):
            if not (short and self._read(envelope.recipient)):
                raise Refused(much)
            envelope = msgspec.structs.replace(envelope, body=short)
        return self._book.draft("accepted", envelope.id, **msgspec.to_builtins(envelope))

    def _read(self, address: str) -> bool:
        """Return whether somebody reads this mail: nothing waits without limit for those whom nobody carries it to."""
        return not (kind := carried_kind(address)) or kind in self.carriers
