"""Mail about runs, as records that are stored together with the runs they report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from aegis import Caller, Envelope, Kernel, Refused
from aegis.ledger import Draft
from aegis.mailboxes import MAX_HOPS
from aegis_terminal.store import Store
from aegis_terminal.values import Run, TerminalRecord


class Notifier:
    """Writes the mail about a run, to everybody who should read it."""

    def __init__(self, kernel: Kernel, store: Store) -> None:
        self._kernel, self._store = kernel, store

    def check(self, known: TerminalRecord, caller: Caller) -> None:
        """Raise `Refused` when agents have answered one another through terminals too many times."""
        told = known.subscribers.keys() - {address(caller)}
        if told and caller.agent_id and caller.hops + 1 > MAX_HOPS:
            raise Refused(
                f"this would be the {caller.hops + 1}th message since a person last spoke; stopping here: ask a person"
            )

    async def append(
        self,
        known: TerminalRecord,
        runs: Sequence[Run],
        *more: Draft,
        caller: Caller | None = None,
        told: set[str] | None = None,
    ) -> None:
        """Store how the runs ended with every letter about them, all or none; the caller of a run gets no letter.

        Addresses in `told` know already; those that get a letter now are added.
        """
        drafts = [*(self._store.run("ran", known.id, run) for run in runs), *more]
        told = set() if told is None else told
        mine = {address(caller)} if caller else set()
        now: set[str] = set()
        for who, interest in known.subscribers.items():
            if ":" not in who and self._kernel.roster.get(who) is None:
                drafts.append(self._store.draft("unsubscribed", known.id, who=who))
            elif who not in mine | told:
                for run in filter(interest.wants, runs):
                    drafts += self._letter(known, who, run, caller)
                    now.add(who)
        told |= now
        await self._store.append(*drafts)
        await self._dead_letter(now)

    async def tell(self, known: TerminalRecord, who: str, run: Run, caller: Caller) -> None:
        """Tell one subscriber of a run that goes on."""
        if who != address(caller):
            await self._store.append(*self._letter(known, who, run, caller))
            await self._dead_letter([who])

    async def _dead_letter(self, told: Iterable[str]) -> None:
        for who in told:
            if ":" not in who and self._kernel.roster.get(who) is None:  # it closed while the disk worked
                await self._kernel.post.dead_letter(self._kernel.post.letters(who), "it was closed")

    def _letter(self, known: TerminalRecord, who: str, run: Run, caller: Caller | None) -> list[Draft]:
        trace = {"trace": caller.trace} if caller and caller.trace else {}
        hops = caller.hops + 1 if caller and caller.agent_id else 0
        envelope = self._kernel.post.envelope(f"term:{known.name}", who, run.notice, hops=hops, **trace)
        try:
            return [self._kernel.post.accept(envelope)]
        except Refused:
            return self._in_short(
                envelope, f"{known.name} ran more than there is room here for; look at its newest runs"
            )

    def _in_short(self, envelope: Envelope, words: str) -> list[Draft]:
        """Return a letter that stands for all that have no room, unless it is there already or nobody reads it."""
        who, post = envelope.recipient, self._kernel.post
        if (":" not in who and self._kernel.roster.get(who) is None) or envelope.hops > MAX_HOPS:
            return []
        box = post.mailbox(who)
        if box.closed or any((x.envelope.sender, x.envelope.body) == (envelope.sender, words) for x in box.waiting):
            return []
        return [post.accept(msgspec.structs.replace(envelope, body=words), short=words)]


def address(caller: Caller) -> str:
    """Return where mail for the caller goes."""
    return caller.agent_id or str(caller)


def writer(caller: Caller) -> str:
    """Return the name of the caller in records."""
    return "human" if caller.kind == "human" else str(caller)
