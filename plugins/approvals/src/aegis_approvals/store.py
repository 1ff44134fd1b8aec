"""Every request there was: book `approvals` keeps how each was asked and how it ended, once."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aegis import Decision, Kernel, PermissionRequest, Seat
from aegis.clock import stamp
from aegis.ledger import Record

_LONGEST = 4_000  # characters of an input that are kept; a file to be written may be any size
STOPPED = "aegis stopped while it was open"


class Asked(msgspec.Struct, frozen=True):
    """A request: its number, whose it is, and what would be done."""

    id: str
    agent: str
    tool: str
    kind: str
    title: str
    since: str
    agent_id: str
    paths: tuple[str, ...] = ()
    input: Any = None

    def __str__(self) -> str:
        return f"{self.id} ({self.agent}: {self.title})"


class Ended(msgspec.Struct, frozen=True):
    """How a request ended: `rule` is what decided (a rule's id, `mode read`, `timeout`), `who` the person."""

    outcome: Literal["allowed", "denied", "expired", "cancelled"]
    reason: str
    rule: str = ""
    who: str = ""

    @property
    def decision(self) -> Decision:
        """What the driver is told."""
        return Decision(self.outcome, self.reason)

    def __str__(self) -> str:
        by = f"{self.outcome} by {self.who}" if self.who else self.outcome
        return by if self.reason == by else f"{by} ({self.reason})"


class RequestRecord(msgspec.Struct, frozen=True):
    """A request and its end, as the book has them; `ended` is None while it is open."""

    asked: Asked
    ended: Ended | None = None
    at: str = ""


class RequestStore:
    """Keeps requests; what the last run left open is in `orphans`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("approvals")
        self._open = set[str]()
        self._book.fold(self._begin, self._apply, lambda: sorted(self._open), ends=("ended",))
        self.orphans = set(self._open)

    def _begin(self, snapshot: Any) -> None:
        self._open = set(snapshot)

    def _apply(self, record: Record) -> None:
        if record.kind == "asked":
            self._open.add(record.key)
        elif record.kind == "ended":
            self._open.discard(record.key)

    def asked(self, seat: Seat, request: PermissionRequest) -> Asked:
        """Return the request as the book has it."""
        return Asked(
            request.id, self._kernel.roster.label(seat.agent_id), request.tool, request.kind,
            request.title or request.tool, stamp(self._kernel.clock.now()), seat.agent_id, request.paths, request.input,
        )  # fmt: skip

    async def ask(self, asked: Asked) -> None:
        """Have it on disk that this was asked."""
        await self._book.append("asked", asked.id, **_kept(asked))

    async def end(self, request: str, ended: Ended) -> None:
        """Have it on disk how it ended."""
        await self._book.append("ended", request, **msgspec.to_builtins(ended))

    async def finish(self, asked: Asked, ended: Ended) -> Decision:
        """Have both on disk at once, for what nobody need be asked about; return the decision."""
        drafts = (
            self._book.draft("asked", asked.id, **_kept(asked)),
            self._book.draft("ended", asked.id, **msgspec.to_builtins(ended)),
        )
        await self._kernel.ledger.append(*drafts)
        return ended.decision

    async def cancel_orphans(self) -> None:
        """Record that what the last run left open is cancelled."""
        for request in sorted(self.orphans, key=int):
            await self.end(request, Ended("cancelled", STOPPED))
            self.orphans.discard(request)

    def find(self, request: str) -> RequestRecord | None:
        """Return the request of this number, None when there was never one."""
        asked: Asked | None = None
        ended: Ended | None = Ended("cancelled", STOPPED) if request in self.orphans else None
        at = ""
        for record in self._book.find(request):
            if record.kind == "asked":
                asked = msgspec.convert(record.data, Asked)
            else:
                ended, at = msgspec.convert(record.data, Ended), record.at
        return RequestRecord(asked, ended, at) if asked else None

    def newest(self, count: int) -> list[RequestRecord]:
        """Return the newest requests, oldest of them first."""
        found = (self.find(record.key) for record in self._book.newest("asked", count))
        return [record for record in found if record][::-1]


def _kept(asked: Asked) -> dict[str, Any]:
    """Return the request as the book keeps it: a long input only as its beginning."""
    kept: dict[str, Any] = msgspec.to_builtins(asked, enc_hook=str)
    text = msgspec.json.encode(kept["input"]).decode(errors="replace")
    if len(text) > _LONGEST:
        kept["input"] = f"{text[:_LONGEST]}… ({len(text):,} characters)"
    return kept
