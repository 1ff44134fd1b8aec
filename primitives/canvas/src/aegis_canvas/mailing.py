"""Mail about canvases, as records to be stored together with what it tells of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aegis import Caller, Kernel, Refused
from aegis.clock import stamp
from aegis.ledger import Draft
from aegis.mail import MAX_HOPS
from aegis_canvas.document import Document
from aegis_canvas.notices import concerns, notice
from aegis_canvas.shelf import Canvas, Revision, Shelf

Letters = list[tuple[str, Draft]]  # to whom


class Mailing:
    """Who is told what."""

    def __init__(self, kernel: Kernel, shelf: Shelf) -> None:
        self._kernel, self._shelf = kernel, shelf

    def check(self, canvas: Canvas, caller: Caller) -> None:
        """Raise `Refused` when agents have answered one another through canvases for too long."""
        told = canvas.subscribers.keys() - {address(caller)}
        if told and caller.kind == "agent" and caller.hops + 1 > MAX_HOPS:
            raise Refused(
                f"this would be the {caller.hops + 1}th message since a person last spoke; stopping here: ask a person"
            )

    def revised(
        self, canvas: Canvas, revision: Revision, old: Document, new: Document, caller: Caller | None = None
    ) -> Letters:
        """Return the letters on a revision: to all who want to hear of it, but not to who made it now."""
        now = stamp(self._kernel.clock.now())
        letters: Letters = []
        bodies: dict[tuple[str, ...], str] = {}  # most want to hear of the same
        holders = {c.holder for c in canvas.claims.values() if c.until > now} - canvas.subscribers.keys()
        for who in [*canvas.subscribers, *sorted(holders)]:
            if caller and who == address(caller):
                continue
            mine = [t for t in revision.touched if t.name in canvas.claims and canvas.claims[t.name].holder == who]
            touched = mine if who in holders else concerns(canvas, who, revision.touched)
            key = tuple(touch.name for touch in touched)
            if key and key not in bodies:
                bodies[key] = notice(revision, touched, old, new)
            if key:
                letters += self._letter(canvas, who, bodies[key], caller)
        return letters

    def all(self, canvas: Canvas, body: str) -> Letters:
        """Return letters that say the same to all who watch the canvas."""
        return [letter for who in canvas.subscribers for letter in self._letter(canvas, who, body)]

    def one(self, canvas: Canvas, who: str, body: str) -> Letters:
        """Return a letter to one, or none if it takes no mail."""
        return self._letter(canvas, who, body) if who else []

    async def store(self, drafts: Iterable[Draft], letters: Sequence[tuple[str, Draft]]) -> None:
        """Store the records and the letters, all or none."""
        await self._shelf.store(*drafts, *(draft for _, draft in letters))
        for who, _ in letters:
            if ":" not in who and self._kernel.roster.get(who) is None:  # it closed while the disk worked
                await self._kernel.post.dead_letter(self._kernel.post.letters(who), "it was closed")

    def _letter(self, canvas: Canvas, who: str, body: str, caller: Caller | None = None) -> Letters:
        if ":" not in who and self._kernel.roster.get(who) is None:
            return []
        trace = {"trace": caller.trace} if caller and caller.trace else {}
        hops = caller.hops + 1 if caller and caller.kind == "agent" else 0
        envelope = self._kernel.post.envelope(f"canvas:{canvas.name}", who, body, hops=hops, **trace)
        try:
            return [(who, self._kernel.post.accept(envelope))]
        except Refused:
            return []  # it is closing; who is gone is told nothing


def address(caller: Caller) -> str:
    """Return where mail for the caller goes."""
    return caller.agent_id or str(caller)
