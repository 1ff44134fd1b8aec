"""What people and agents see of budgets: the verbs, and the line in an agent's primer."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, Field

from aegis import Caller, Completes, Kernel, NotFound, Seat, verb
from aegis.errors import listed, nearest
from aegis.ledger import Record
from aegis_budget.budgets import Budgets, queue_of, scopes_of
from aegis_budget.decision import Check, Decision, iso
from aegis_budget.limiter import Limiter
from aegis_budget.notes import Notes
from aegis_budget.overshoot import Overshoot
from aegis_budget.service import Meter
from aegis_budget.settings import UNITS, number, seconds
from aegis_budget.store import Account

_SPENDS = 20  # that `budget show` shows
_LOOK = 1_000  # spendings that are looked through for them
ScopeName = Annotated[
    str, Completes("budget-scope"), Field(description="`project`, `profile:NAME`, or a queue: its name or `queue:NAME`")
]
QueueName = Annotated[str, Completes("queue"), Field(description="only this queue, with every budget")]


def _a_window(window: str) -> str:
    seconds(window)
    return window


class Row(msgspec.Struct, frozen=True):
    """A budget in a list; `blocked_until` is empty when something may begin."""

    scope: str
    budget: str
    on_exceed: str
    spent: str
    reserved: str
    left: str
    blocked_until: str

    def __str__(self) -> str:
        until = f", until {self.blocked_until}" if self.blocked_until else ""
        held = f", {self.reserved} reserved" if self.reserved != "0" else ""
        return f"{self.scope}: {self.budget} ({self.on_exceed}): {self.spent} spent{held}, {self.left} left{until}"


class Spend(msgspec.Struct, frozen=True):
    """What one turn counts; `~` before the dollars marks an estimate, `unknown` is what nobody knows of it."""

    at: str
    agent: str
    usd: str
    output_tokens: int
    outcome: str
    turn: str
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        usd = f"cost unknown (${self.usd} counted)" if "usd" in self.unknown else f"${self.usd}"
        counted = "output tokens unknown ({} counted)" if "output_tokens" in self.unknown else "{} output tokens"
        return f"{self.at}  {self.agent}  {usd}, {counted.format(self.output_tokens)}, {self.outcome}"


class Sheet(msgspec.Struct, frozen=True):
    """Everything about one scope; `overshoot` is how far what is in flight may pass its budgets at worst."""

    scope: str
    budgets: list[Row]
    spends: list[Spend]
    overshoot: list[Overshoot] = []

    def __str__(self) -> str:
        lines = [str(row) for row in self.budgets] or [f"{self.scope} has no budget"]
        worst = [str(o) for o in self.overshoot]
        return "\n".join([*lines, *worst, "", *(str(spend) for spend in self.spends or ("nothing was spent",))])


class Total(msgspec.Struct, frozen=True):
    """What one profile, queue or agent spent; `estimated` is the part of it that is an estimate.

    `unknown_usd` and `unknown_output_tokens` are how many of the turns did not tell it: what was reserved for them
    counts.
    """

    by: str
    name: str
    usd: str
    estimated: str
    output_tokens: int
    turns: int
    unknown_usd: int = 0
    unknown_output_tokens: int = 0


class BudgetVerbs:
    """Shows what may be spent, what was, and by whom."""

    name = "budget"

    def __init__(
        self, kernel: Kernel, account: Account, budgets: Budgets, limiter: Limiter, meter: Meter, notes: Notes
    ) -> None:
        self._kernel, self._account, self._budgets, self._limiter = kernel, account, budgets, limiter
        self._meter, self._notes = meter, notes
        kernel.verbs.complete_with("budget-scope", budgets.scopes)

    def restore(self) -> None:
        """Begin to meter; what the last run left open is settled before any turn begins."""
        self._kernel.supervisor.start("budget.meter", self._meter.run, on_down=self._meter.broke)

    def before_open(self, seat: Seat) -> None:
        """Tell the agent what it may spend."""
        if checks := self._own(seat.agent_id):
            spent = "; ".join(map(str, checks))
            seat.primer.append(f"Your budget ({spent}) is shown by the tool aegis_budget_status. Spend it with care.")

    def agent_started(self, agent_id: str) -> None:
        """Show the remark of an agent that has just come."""
        self._notes.show()

    @verb("budget list", read_only=True, for_={"person"})
    async def every(self, caller: Caller) -> list[Row]:
        """List every budget: what is spent, reserved and left, and until when it blocks."""
        return [row for scope in self._budgets.scopes() for row in self._rows(scope)]

    @verb("budget show", read_only=True, for_={"person"})
    async def show(self, caller: Caller, scope: ScopeName) -> Sheet:
        """Show the budgets of the project, a profile or a queue, and its newest spending.

        Dollars with `~` are an estimate, from a price table. Where nobody knows what a turn cost, what was reserved for
        it counts.
        """
        scope = self._budgets.scope(scope)
        spends = [self._spend(r) for r in self._account.newest(_LOOK) if scope in r.data["scopes"]][:_SPENDS]
        rows = self._rows(scope)
        if not rows and not spends and scope.removeprefix("queue:") not in self._budgets.queues():
            there = self._budgets.scopes()
            close = nearest(scope, there) or nearest(scope, self._budgets.queues())
            raise NotFound(f"there is no budget of {scope!r} (there are: {listed(there)}).{close}")
        worst = self._limiter.overshoots(self._budgets.covering((scope,))) if self._account.holds(scope) else []
        return Sheet(scope, rows, spends, worst)

    @verb("budget status", read_only=True, positional=("queue",))
    async def status(self, caller: Caller, queue: QueueName = "") -> dict[str, Any]:
        """Show whether the budgets of a queue, or of all queues, let work begin.

        For agents:
        `own` is what you may spend yourself.
        """
        names = self._budgets.queues()
        if queue and queue not in names:
            raise NotFound(f"there is no queue {queue!r} (queues: {listed(names)}).{nearest(queue, names)}")
        if queue:
            return {"name": queue, **self._status(f"queue:{queue}")}
        answer: dict[str, Any] = {"queues": [self._brief(name) for name in names]}
        if own := self._own(caller.agent_id):
            answer["own"] = [_described(c) for c in own]
        return answer

    @verb("budget spent", read_only=True, for_={"person"}, positional=("since",))
    async def spent(
        self,
        caller: Caller,
        since: Annotated[str, AfterValidator(_a_window), Field(description="how far back, such as 24h")] = "1d",
    ) -> list[Total]:
        """Show who spent how much: by profile, by queue, by agent."""
        sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 6)
        for record in self._account.since(seconds(since)):
            data, usd = record.data, Decimal(record.data["usd"])
            unknown = [Decimal(unit in data.get("unknown", ())) for unit in UNITS]
            add = (usd, usd if data["estimate"] else Decimal(0), Decimal(data["output_tokens"]), Decimal(1), *unknown)
            named = [tuple(scope.partition(":")[::2]) for scope in data["scopes"]]
            for by, name in [*named, ("agent", self._kernel.roster.label(data["agent"]))]:
                sums[by, name] = [a + b for a, b in zip(sums[by, name], add, strict=True)]
        return [
            Total(by, name, number(usd), number(guess), *map(int, rest))
            for (by, name), (usd, guess, *rest) in sorted(sums.items())
        ]

    # -- shapes -------------------------------------------------------------------------------------------------

    def _checks(self, *scopes: str) -> list[Check]:
        return [self._limiter.check(scope, entry) for scope, entry in self._budgets.covering(scopes)]

    def _own(self, agent_id: str) -> list[Check]:
        agent = self._kernel.roster.get(agent_id)
        return self._checks(*scopes_of(agent.profile_name, queue_of(agent.by))) if agent else []

    def _rows(self, scope: str) -> list[Row]:
        return [
            Row(
                c.scope, str(c.entry), c.entry.on_exceed, number(c.spent), number(c.reserved), number(c.left),
                "" if c.allowed else c.unblock_at or "a turn in flight ends",
            )
            for c in self._checks(scope)
        ]  # fmt: skip

    def _spend(self, record: Record) -> Spend:
        data = record.data
        usd = ("~" if data["estimate"] else "") + number(Decimal(data["usd"]))
        agent = self._kernel.roster.label(data["agent"])
        unknown = tuple(data.get("unknown", ()))
        return Spend(iso(data["when"]), agent, usd, data["output_tokens"], data["outcome"], record.key, unknown)

    def _brief(self, queue: str) -> dict[str, Any]:
        decision = Decision(self._checks(f"queue:{queue}"))
        state = "blocked" if decision.blocked_by else "ok" if decision.checks else "no-budget"
        return {"name": queue, "budgets_count": len(decision.checks), "status": state}

    def _status(self, scope: str) -> dict[str, Any]:
        decision = Decision(self._checks(scope))
        return {
            "allowed": not decision.blocked_by, "checks": [_described(c) for c in decision.checks],
            "blocked_by": [c.plain() for c in decision.blocked_by], "unblock_at": decision.unblock_at,
        }  # fmt: skip


def _described(check: Check) -> dict[str, Any]:
    more = {"scope": check.scope, "reserved": number(check.reserved), "headroom": number(check.left)}
    return check.plain() | more | {"allowed": check.allowed}
