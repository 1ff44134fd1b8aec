"""The permission requests that are open: one list for every provider, each ended in exactly one way."""

from __future__ import annotations

from typing import Literal

import trio

from aegis import Decision, Kernel, LedgerError, NotFound, PermissionRequest, Refused, Seat
from aegis_approvals.rulebook import Rulebook
from aegis_approvals.store import Asked, Ended, RequestStore

_OUTCOMES: dict[str, Literal["allowed", "denied"]] = {"allow": "allowed", "deny": "denied"}


class Waiting:
    """A request that waits for a person; the first answer is the answer."""

    def __init__(self, asked: Asked, seat: Seat, request: PermissionRequest, seconds: float) -> None:
        self.asked, self.seat, self.request = asked, seat, request
        self.limit = trio.CancelScope(deadline=trio.current_time() + seconds)
        self.answered, self.over = trio.Event(), trio.Event()
        self.answer: Ended | None = None
        self.ended: Ended | None = None  # as the book has it

    def give(self, answer: Ended) -> None:
        """Answer it."""
        self.answer = answer
        self.answered.set()


class PermissionRequests:
    """All that wait now; the rules that allow are asked, then a person."""

    def __init__(self, kernel: Kernel, rules: Rulebook, store: RequestStore) -> None:
        self._kernel, self._rules, self._store = kernel, rules, store
        self.open: dict[str, Waiting] = {}

    async def ask(self, seat: Seat, request: PermissionRequest) -> Decision:
        """Return what a rule or a person decided, or `expired` when nobody did in time."""
        asked = self._store.asked(seat, request)
        if by_rule := self._rules.decided(seat, request, "allow"):
            return await self._store.finish(asked, by_rule)
        seconds = self._kernel.config.section("plugins.approvals").timeout
        waiting = self.open[asked.id] = Waiting(asked, seat, request, seconds)
        try:
            await self._store.ask(asked)
            return (await self._wait(waiting, seconds)).decision
        finally:
            del self.open[asked.id]
            waiting.over.set()

    async def _wait(self, waiting: Waiting, seconds: float) -> Ended:
        ended = Ended("cancelled", "the turn ended before anyone answered")
        try:
            with waiting.limit:
                await waiting.answered.wait()
            expired = Ended("expired", f"nobody answered within {seconds:g} s", "timeout")
            ended = waiting.answer or expired
        finally:
            if waiting.answer and ended is not waiting.answer:
                ended = Ended("cancelled", f"the turn ended before it heard that it was {waiting.answer}")
            with trio.CancelScope(shield=True):
                await self._store.end(waiting.asked.id, ended)
            waiting.ended = ended
        return ended

    async def answer(self, who: str, request: str, answer: Literal["allow", "deny"], reason: str, always: bool) -> str:
        """Answer an open request; return what was done, once that is on disk.

        Raises `NotFound` naming the open ones, `Refused` with how it ended when it has, or when no rule can be made.
        """
        waiting = await self._waiting(request)
        rules = self._rules.rules_for(waiting.seat, waiting.request, answer) if always else []
        if rules:  # nothing is awaited from here to the answer: the request is still open when the rule is written
            self._rules.add(rules, who)
        ids = " ".join(rule.id for rule in rules)
        said = ", and from now on: " + "; ".join(f"{rule.id}: {rule}" for rule in rules) if rules else ""
        outcome = _OUTCOMES[answer]
        given = Ended(outcome, reason or f"{outcome} by {who}", ids, who)
        waiting.give(given)
        self._answer_alike()
        await waiting.over.wait()
        if waiting.ended is given:
            return f"{waiting.asked.agent}: {waiting.asked.title} is {outcome}{said}"
        if waiting.ended is None:
            raise LedgerError(f"request {waiting.asked} was denied: its end could not be stored{said}")
        raise Refused(f"request {waiting.asked} has already ended: {waiting.ended}{said}")

    def _answer_alike(self) -> None:
        """Answer what else is open and has a rule now; deny rules win."""
        for waiting in [w for w in self.open.values() if not w.answer]:
            for answer in ("deny", "allow"):
                decided = self._rules.decided(waiting.seat, waiting.request, answer)
                if decided:
                    waiting.give(decided)
                    break

    async def _waiting(self, request: str) -> Waiting:
        waiting = self.open.get(request)
        if waiting and not waiting.answer:
            return waiting
        if waiting:
            await waiting.over.wait()
        record = self._store.find(request)
        if record and record.ended:
            raise Refused(f"request {record.asked} has already ended: {record.ended}")
        raise self.unknown(request)

    def unknown(self, request: str) -> NotFound:
        """Return the error that there is no such request, which names the open ones."""
        there = ", ".join(str(w.asked) for w in self.open.values() if not w.answer) or "none"
        return NotFound(f"there is no request {request!r} (open: {there})")

    def always_rules(self, waiting: Waiting) -> str:
        """Return the rules that answering always would write, or why there would be none."""
        try:
            return "; ".join(map(str, self._rules.rules_for(waiting.seat, waiting.request, "allow")))
        except Refused as refusal:
            return str(refusal)
