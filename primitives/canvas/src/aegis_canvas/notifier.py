"""Mail about canvases, as records that are stored together with the change they report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from aegis import Caller, Envelope, Kernel, Refused
from aegis.clock import stamp
from aegis.ledger import Draft
from aegis.mailboxes import MAX_HOPS
from aegis_canvas.document import Document
from aegis_canvas.notices import concerns, notice
from aegis_canvas.store import Canvas, Revision, Store

Letters = list[tuple[str, Draft]]  # to whom


class Notifier:
    """Writes the mail about a change, to everybody who should read it."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        self._kernel, self._store = kernel, store

    def check(self, canvas: Canvas, caller: Caller) -> None:
        """Raise `Refused` when agents have answered one another through canvases too many times."""
        told = canvas.subscribers.keys() - {address(caller)}
        if told and is_agents(caller) and caller.hops + 1 > MAX_HOPS:
            raise Refused(
                f"this would be the {caller.hops + 1}th message since a person last spoke; stopping here: ask a person"
            )

    def concerned(self, canvas: Canvas, writer: str) -> list[str]:
        """Return whom a change may concern: subscribers, then who holds a claim, but not its writer."""
        now = stamp(self._kernel.clock.now())
        holders = {c.holder for c in canvas.claims.values() if c.until > now} - canvas.subscribers.keys()
        return [who for who in [*canvas.subscribers, *sorted(holders)] if who != writer]

    def revised(self, canvas: Canvas, revision: Revision, old: Document, new: Document) -> Letters:
        """Return the letters about a revision; those who watch the same sections get the same words."""
        letters: Letters = []
        bodies: dict[tuple[str, ...], str] = {}
        for who in self.concerned(canvas, revision.by_id):
            if who in canvas.subscribers:
                touched = concerns(canvas, who, revision.touched)
            else:
                held = {name for name, claim in canvas.claims.items() if claim.holder == who}
                touched = [t for t in revision.touched if t.name in held]
            key = tuple(touch.name for touch in touched)
            if key and key not in bodies:
                bodies[key] = notice(revision, touched, old, new)
            if key:
                letters += self._letter(canvas, who, bodies[key], revision)
        return letters

    def all(self, canvas: Canvas, body: str) -> Letters:
        """Return the same letter to every subscriber of the canvas."""
        return [letter for who in canvas.subscribers for letter in self._letter(canvas, who, body)]

    def one(self, canvas: Canvas, who: str, body: str) -> Letters:
        """Return a letter to one agent or person; none if it takes no mail."""
        return self._letter(canvas, who, body) if who else []

    async def append(self, drafts: Iterable[Draft], letters: Sequence[tuple[str, Draft]]) -> None:
        """Store the records and the letters, all or none; the same words to the same reader are said once."""
        once = {(who, draft.data["sender"], draft.data["body"]): draft for who, draft in letters}
        await self._store.append(*drafts, *once.values())
        for who, _ in letters:
            if ":" not in who and self._kernel.roster.get(who) is None:  # it closed while the disk worked
                await self._kernel.post.dead_letter(self._kernel.post.letters(who), "it was closed")

    def _letter(self, canvas: Canvas, who: str, body: str, revision: Revision | None = None) -> Letters:
        if ":" not in who and self._kernel.roster.get(who) is None:
            return []
        trace = {"trace": revision.trace} if revision and revision.trace else {}
        hops = revision.hops if revision else 0
        envelope = self._kernel.post.envelope(f"canvas:{canvas.name}", who, body, hops=hops, **trace)
        try:
            return [(who, self._kernel.post.accept(envelope))]
        except Refused:
            return [
                (who, draft)
                for draft in self._in_short(
                    envelope, f"{canvas.name} has changed more often than there is room here for; read it again"
                )
            ]

    def _in_short(self, envelope: Envelope, words: str) -> list[Draft]:
        """Return a letter that stands for all that have no room, unless it is there already or nobody reads it."""
        post = self._kernel.post
        box = post.mailbox(envelope.recipient)
        full = not box.closed and envelope.hops <= MAX_HOPS
        if not full or any((x.envelope.sender, x.envelope.body) == (envelope.sender, words) for x in box.waiting):
            return []
        return [post.accept(msgspec.structs.replace(envelope, body=words), short=words)]


def address(caller: Caller) -> str:
    """Return where mail for the caller goes."""
    return caller.agent_id or str(caller)


def is_agents(caller: Caller) -> bool:
    """Return whether an agent is behind the call, also through a workflow or another program."""
    return caller.class_ == "agent" or bool(caller.agent_id)
