"""The interceptor that asks, and the verbs: what people see of requests and rules, and how they answer."""

from __future__ import annotations

from typing import Annotated

import msgspec

from aegis import Caller, Completes, Decision, Kernel, PermissionRequest, Seat, verb
from aegis_approvals.docket import Asked, Docket, Past
from aegis_approvals.questions import Questions
from aegis_approvals.rulebook import Rulebook

PEOPLE = frozenset({"human", "telegram"})
Request = Annotated[str, Completes("approval")]
RuleId = Annotated[str, Completes("approval-rule")]


class Row(msgspec.Struct, frozen=True):
    """A request in a list; `outcome` is `open` until it has ended, `at` is when it did."""

    id: str
    agent: str
    tool: str
    kind: str
    title: str
    since: str
    outcome: str = "open"
    reason: str = ""
    rule: str = ""
    who: str = ""
    at: str = ""


class Sheet(msgspec.Struct, frozen=True):
    """Everything about a request; `always` is the rule that `--always` would write, or why there would be none."""

    asked: Asked
    outcome: str
    reason: str
    rule: str
    who: str
    at: str
    always: str

    def __str__(self) -> str:
        asked = self.asked
        given = asked.input if isinstance(asked.input, dict) else {"text": asked.input}
        facts = {
            "agent": asked.agent, "tool": asked.tool, "kind": asked.kind, "since": asked.since, "outcome": self.outcome,
            "reason": self.reason, "rule": self.rule, "who": self.who, "at": self.at, "always": self.always,
            "files": "\n".join(asked.paths), "input": "\n".join(f"{name}: {value}" for name, value in given.items()),
        }  # fmt: skip
        lines = [f"{name:9}" + value.replace("\n", f"\n{'':9}") for name, value in facts.items() if value]
        return "\n".join([f"{asked.id}: {asked.title}", *lines])


class RuleRow(msgspec.Struct, frozen=True):
    """A rule in force."""

    id: str
    agent: str
    tool: str
    kind: str
    match: str
    answer: str


class Approvals:
    """Asks rules, then people; they answer here, from any surface."""

    name = "approvals"
    order = 100  # after every policy that can answer by itself
    timeout = None  # a person may take their time; `plugins.approvals.timeout` ends the wait
    strict = True

    def __init__(self, kernel: Kernel, rules: Rulebook, docket: Docket) -> None:
        self._kernel, self._rules, self._docket = kernel, rules, docket
        self._questions = Questions(kernel, rules, docket)
        kernel.verbs.complete_with("approval", lambda: list(self._questions.open))
        kernel.verbs.complete_with("approval-rule", lambda: [rule.id for rule in rules.rules])

    def restore(self) -> None:
        """End what the last run left open, so that the list never lies."""
        self._kernel.supervisor.start("approvals.orphans", self._docket.bury)

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision:
        """Return what a rule or a person decided, or `expired` when nobody did in time."""
        return await self._questions.ask(seat, request)

    @verb("approvals list", read_only=True, callers=PEOPLE)
    async def pending(self, caller: Caller, all: bool = False, count: int = 50) -> list[Row]:  # noqa: A002 - typed so
        """List what agents wait for leave to do.

        With `--all` the newest `--count` requests, how each ended, why, by which rule, and by whom.
        """
        if all:
            return [_row(past) for past in self._docket.newest(max(1, count))]
        return [_row(Past(w.asked)) for w in self._questions.open.values() if not w.answer]

    @verb("approvals show", read_only=True, callers=PEOPLE)
    async def show(self, caller: Caller, request: Request) -> Sheet:
        """Show one request whole: its input, its files, and the rule that `--always` would make of it."""
        number = self._questions.number(request)
        waiting, past = self._questions.open.get(number), self._docket.find(number)
        if waiting:
            return Sheet(waiting.asked, "open", "", "", "", "", self._questions.future(waiting))
        if past is None:
            raise self._questions.unknown(request)
        row = _row(past)
        return Sheet(past.asked, row.outcome, row.reason, row.rule, row.who, row.at, "")

    @verb("approvals allow", callers=PEOPLE, positional=("request", "reason"))
    async def allow(self, caller: Caller, request: Request, reason: str = "", always: bool = False) -> str:
        """Let the agent do it, this once.

        With `--always` also write a rule into `.aegis.yaml`: this command exactly, or this file's folder, for this
        agent; the rule is seen in `approvals rules` and taken back with `approvals revoke`.
        """
        return await self._questions.answer(str(caller), request, "allow", reason, always)

    @verb("approvals deny", callers=PEOPLE, positional=("request", "reason"))
    async def deny(self, caller: Caller, request: Request, reason: str = "", always: bool = False) -> str:
        """Refuse it; the agent reads the reason and goes on.

        With `--always` a rule refuses the same from now on; deny rules win over those that allow.
        """
        return await self._questions.answer(str(caller), request, "deny", reason, always)

    @verb("approvals rules", read_only=True, callers=PEOPLE)
    async def rules(self, caller: Caller) -> list[RuleRow]:
        """List the rules that answer without asking, as `.aegis.yaml` has them."""
        return [RuleRow(r.id, r.agent, r.tool or "", r.kind or "", r.match, r.answer) for r in self._rules.rules]

    @verb("approvals revoke", callers=PEOPLE)
    async def revoke(self, caller: Caller, rule: RuleId) -> str:
        """Take a rule out of `.aegis.yaml`; what it answered is asked again."""
        return f"revoked: {self._rules.revoke(rule)}"


def _row(past: Past) -> Row:
    asked, ended = past.asked, past.ended
    face = (asked.id, asked.agent, asked.tool, asked.kind, asked.title, asked.since)
    return Row(*face, ended.outcome, ended.reason, ended.rule, ended.who, past.at) if ended else Row(*face)
