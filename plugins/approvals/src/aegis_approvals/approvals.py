"""Open permission requests: one list for every provider, each ended in exactly one way."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import trio

from aegis import Caller, Completes, Decision, Kernel, NotFound, PermissionRequest, Seat, verb
from aegis.clock import stamp

PEOPLE = frozenset({"human", "telegram"})
Request = Annotated[str, Completes("approval")]


class Open(msgspec.Struct, frozen=True):
    """A request that waits for a person."""

    id: str
    agent: str
    tool: str
    kind: str
    title: str
    since: str
    input: Any = None


class _Waiting:
    def __init__(self, face: Open) -> None:
        self.face = face
        self.answered = trio.Event()
        self.decision: Decision | None = None


class Approvals:
    """Asks a person and waits; book `approvals` (key: request) keeps what was asked and how it ended."""

    name = "approvals"
    order = 100  # after every policy that can answer by itself
    timeout = None  # a person may take their time; `plugins.approvals.timeout` ends the wait

    def __init__(self, kernel: Kernel, patience: float) -> None:
        self._kernel, self._patience = kernel, patience
        self._book = kernel.ledger.book("approvals")
        self._open: dict[str, _Waiting] = {}
        kernel.verbs.complete_with("approval", lambda: sorted(self._open))

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision:
        """Return a person's decision, or `expired` when none came in time."""
        handle = self._kernel.roster.label(seat.agent_id)
        since = stamp(self._kernel.clock.now())
        waiting = _Waiting(Open(request.id, handle, request.tool, request.kind, request.title, since, request.input))
        await self._book.append("asked", request.id, **msgspec.to_builtins(waiting.face))
        self._open[request.id] = waiting
        decision = Decision("cancelled", "the turn ended before anyone answered")
        try:
            with trio.move_on_after(self._patience) as scope:
                await waiting.answered.wait()
            if scope.cancelled_caught:
                decision = Decision("expired", f"nobody answered within {self._patience:g} s")
            elif waiting.decision:
                decision = waiting.decision
        finally:
            del self._open[request.id]
            with trio.CancelScope(shield=True):
                await self._book.append("ended", request.id, outcome=decision.outcome, reason=decision.reason)
        return decision

    @verb("approvals list", read_only=True, callers=PEOPLE)
    async def pending(self, caller: Caller) -> list[Open]:
        """List what agents wait for leave to do."""
        return [w.face for w in self._open.values()]

    @verb("approvals allow", callers=PEOPLE)
    async def allow(self, caller: Caller, request: Request, reason: str = "") -> str:
        """Let the agent do it, this once."""
        return self._answer(request, Decision("allowed", reason or f"allowed by {caller}"))

    @verb("approvals deny", callers=PEOPLE, positional=("request", "reason"))
    async def deny(self, caller: Caller, request: Request, reason: str = "") -> str:
        """Refuse it; the agent reads the reason and goes on."""
        return self._answer(request, Decision("denied", reason or f"denied by {caller}"))

    def _answer(self, request: str, decision: Decision) -> str:
        matching = [w for key, w in self._open.items() if key.startswith(request)]
        if len(matching) != 1 or matching[0].decision:
            faces = (w.face for w in self._open.values())
            there = ", ".join(f"{f.id} ({f.agent}: {f.title or f.tool})" for f in faces) or "none"
            raise NotFound(f"no open request {request!r} (open: {there})")
        waiting = matching[0]
        waiting.decision = decision
        waiting.answered.set()
        return f"{waiting.face.agent}: {waiting.face.title or waiting.face.tool} is {decision.outcome}"
