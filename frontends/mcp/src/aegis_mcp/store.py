"""The plane's book: tickets of calls that take longer than a client waits; result or loss comes as mail.

Book `plane` (key: ticket): `opened` → `closed`, the latter in one write with the mail that tells the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aegis import Caller, Refused
from aegis.clock import new_id
from aegis.ledger import Record
from aegis.mail import SYSTEM

if TYPE_CHECKING:
    from aegis import Kernel

LOST = "{verb}: aegis stopped before this call was done; call again if it is still wanted"


_SHORT = 2_000  # characters of a result for which there is no room


def shortened(body: str) -> str:
    """Return as much of a result as comes to a mailbox that is full, or of one that is longer than a turn."""
    cut = f"\n(There was no room here for all {len(body):,} characters; ask for less at once.)"
    return body if len(body) <= _SHORT else body[:_SHORT] + cut


class Tickets:
    """Those of this project that are open."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book, self._post = kernel, kernel.ledger.book("plane"), kernel.post
        self._open: dict[str, dict[str, Any]] = {}
        self._book.fold(self._begin, self._apply, lambda: self._open, ends=("closed",))
        self._lost = dict(self._open)
        # The ids of the agents that still have to hear that a call was lost with the last kernel.
        self.owed = {data["agent"] for data in self._lost.values()}

    def _begin(self, snapshot: Any) -> None:
        self._open = dict(snapshot)

    def _apply(self, record: Record) -> None:
        if record.kind == "opened":
            self._open[record.key] = record.data
        else:
            self._open.pop(record.key, None)

    async def open(self, caller: Caller, verb: str) -> str:
        """Return a ticket; from now on the caller will hear how the call ended, whatever happens."""
        ticket = new_id()
        more = {"trace": caller.trace, "hops": caller.hops}
        await self._book.append("opened", ticket, agent=caller.agent_id, verb=verb, **more)
        self._expect(caller, ticket, f"the result of {verb}")
        return ticket

    def _expect(self, caller: Caller, ticket: str, words: str) -> None:
        if agent := self._kernel.roster.get(caller.agent_id):
            agent.expect(f"ticket {ticket}", words)

    async def close(self, ticket: str, caller: Caller, body: str, status: str) -> None:
        """Send the caller the result; a caller that takes no mail any more misses it."""
        trace = {"trace": caller.trace} if caller.trace else {}
        envelope = self._post.envelope(
            SYSTEM, caller.agent_id, body, task_id=ticket, status=status, hops=caller.hops, **trace
        )
        closed = self._book.draft("closed", ticket)
        try:
            await self._post.deliver(envelope, closed, short=shortened(body))
        except Refused:
            await self._book.append("closed", ticket)
        self._expect(caller, ticket, "")

    async def tell_lost(self, agent_id: str) -> None:
        """Tell the agent, which is back, which of its calls were lost."""
        for ticket, data in list(self._lost.items()):
            if data["agent"] == agent_id:
                del self._lost[ticket]
                caller = Caller("agent", "", agent_id, data["trace"], data["hops"])
                await self.close(ticket, caller, LOST.format(verb=data["verb"]), "error")
