"""The verbs on requests and rules, and the interceptor that asks those who use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from pydantic import Field

from aegis import Caller, Completes, Decision, Kernel, PermissionRequest, Refused, Seat, verb
from aegis_approvals.permission_requests import PermissionRequests
from aegis_approvals.rulebook import Rulebook
from aegis_approvals.store import Asked, RequestRecord, RequestStore
from aegis_printable.printable import deceptive, printable, printable_line

Request = Annotated[str, Completes("approval"), Field(description="number of the request")]
RuleId = Annotated[str, Completes("approval-rule"), Field(description="id of the rule, as `approvals rules` shows it")]
Reason = Annotated[str, Field(description="why; the agent reads it")]
HIDDEN = "It has characters that a screen does not show as what they are; here each is an escape, such as \\u202e."
Always = Annotated[bool, Field(description="also write a rule that answers the same from now on")]


class RequestRow(msgspec.Struct, frozen=True):
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


class RequestDetails(msgspec.Struct, frozen=True):
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
        }  # fmt: skip
        blocks = {
            "files": "\n".join(map(printable_line, asked.paths)),
            "input": "\n".join(f"{printable_line(str(k))}: {_deeper(str(v))}" for k, v in given.items()),
        }
        shown = {name: printable_line(value) for name, value in facts.items()}
        lines = [f"{name:9}" + value.replace("\n", f"\n{'':9}") for name, value in (shown | blocks).items() if value]
        warning = [HIDDEN] if is_deceptive(asked) else []
        return "\n".join([f"{asked.id}: {printable_line(asked.title)}", *lines, *warning])


def _deeper(value: str) -> str:
    """Return the text; its further lines stand deeper, so that none can be taken for a line of ours."""
    return printable(value).replace("\n", "\n  ")


class RuleRow(msgspec.Struct, frozen=True):
    """A rule in force."""

    id: str
    agent: str
    tool: str
    kind: str
    match: str
    answer: str


class ApprovalVerbs:
    """Asks rules, then people, who answer here, from any surface."""

    name = "approvals"
    order = 100  # after every policy that can answer by itself
    timeout = None  # a person may take their time; `plugins.approvals.timeout` ends the wait
    strict = True

    def __init__(self, kernel: Kernel, rules: Rulebook, store: RequestStore) -> None:
        self._kernel, self._rules, self._store = kernel, rules, store
        self._requests = PermissionRequests(kernel, rules, store)
        kernel.verbs.complete_with("approval", lambda: list(self._requests.open))
        kernel.verbs.complete_with("approval-rule", lambda: [rule.id for rule in rules.rules])

    def restore(self) -> None:
        """End what the last run left open, so that the list never lies."""
        self._kernel.supervisor.start("approvals.orphans", self._store.cancel_orphans)

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision:
        """Return what a rule or a person decided, or `expired` when nobody did in time."""
        return await self._requests.ask(seat, request)

    @verb("approvals list", read_only=True, for_={"person"})
    async def pending(
        self,
        caller: Caller,
        all: Annotated[bool, Field(description="also those that have ended, and how")] = False,  # noqa: A002 - typed so
        count: Annotated[int, Field(description="with --all: how many at most, counted from the newest")] = 50,
    ) -> list[RequestRow]:
        """List the requests for permission that wait for an answer."""
        if all:
            return [_row(record) for record in self._store.newest(max(1, count))]
        return [_row(RequestRecord(w.asked)) for w in self._requests.open.values() if not w.answer]

    @verb("approvals show", read_only=True, for_={"person"})
    async def show(self, caller: Caller, request: Request) -> RequestDetails:
        """Show one request in full: its input, its files, and the rule that `--always` would write."""
        waiting, record = self._requests.open.get(request), self._store.find(request)
        if waiting:
            return RequestDetails(waiting.asked, "open", "", "", "", "", self._requests.always_rules(waiting))
        if record is None:
            raise self._requests.unknown(request)
        row = _row(record)
        return RequestDetails(record.asked, row.outcome, row.reason, row.rule, row.who, row.at, "")

    @verb("approvals allow", for_={"person"}, positional=("request", "reason"))
    async def allow(
        self,
        caller: Caller,
        request: Request,
        reason: Reason = "",
        always: Always = False,
        yes_i_see_it: Annotated[bool, Field(description="allow it though it has characters that are not seen")] = False,
    ) -> str:
        """Allow a request.

        One with characters that a screen would hide is refused without --yes-i-see-it; `approvals show` shows them.
        With --always a rule is written into `.aegis.yaml`, too: it allows exactly this command, or the files of this
        file's folder, to this agent. `approvals rules` shows it, `approvals revoke` takes it back.
        """
        waiting = self._requests.open.get(request)
        if waiting and not yes_i_see_it and is_deceptive(waiting.asked):
            raise Refused(
                f"request {request} has characters that a screen does not show as what they are; `approvals show "
                f"{request}` shows them as escapes, `approvals allow {request} --yes-i-see-it` allows it"
            )
        return await self._requests.answer(str(caller), request, "allow", reason, always)

    @verb("approvals deny", for_={"person"}, positional=("request", "reason"))
    async def deny(self, caller: Caller, request: Request, reason: Reason = "", always: Always = False) -> str:
        """Deny a request; the agent reads the reason and goes on.

        With --always a rule denies the same from now on. Rules that deny win over rules that allow.
        """
        return await self._requests.answer(str(caller), request, "deny", reason, always)

    @verb("approvals rules", read_only=True, for_={"person"})
    async def rules(self, caller: Caller) -> list[RuleRow]:
        """List the rules that answer requests without asking a person."""
        return [RuleRow(r.id, r.agent, r.tool or "", r.kind or "", r.match, r.answer) for r in self._rules.rules]

    @verb("approvals revoke", for_={"person"})
    async def revoke(self, caller: Caller, rule: RuleId) -> str:
        """Remove a rule from `.aegis.yaml`; what it answered is asked again."""
        return f"revoked: {self._rules.revoke(rule, caller.principal)}"


def is_deceptive(asked: Asked) -> bool:
    """Return whether anything of the request has characters that are not seen, or are seen as others."""
    return any(map(deceptive, _texts([asked.title, asked.tool, asked.input, list(asked.paths)])))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _row(record: RequestRecord) -> RequestRow:
    asked, ended = record.asked, record.ended
    about = (asked.id, asked.agent, asked.tool, asked.kind, asked.title, asked.since)
    return (
        RequestRow(*about, ended.outcome, ended.reason, ended.rule, ended.who, record.at)
        if ended
        else RequestRow(*about)
    )
