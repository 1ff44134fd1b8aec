"""Whether something may begin, and if not, why and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aegis import Refused
from aegis.clock import stamp
from aegis_budget.settings import Entry, amount, number
from aegis_budget.store import Account


def iso(when: float) -> str:
    """Return a time of the epoch as aegis writes times."""
    return stamp(datetime.fromtimestamp(when, UTC))


@dataclass(frozen=True, slots=True)
class Check:
    """One budget at one moment; `unblock_at` is empty when it allows, or blocks only until a turn in flight ends."""

    scope: str
    entry: Entry
    spent: Decimal
    reserved: Decimal
    unblock_at: str = ""

    @property
    def allowed(self) -> bool:
        """Whether something more may begin; spending that is equal to the limit is too much."""
        return self.spent + self.reserved < self.entry.limit

    @property
    def left(self) -> Decimal:
        """What is neither spent nor reserved."""
        return self.entry.limit - self.spent - self.reserved

    def plain(self) -> dict[str, str]:
        """Return it as the reference has it."""
        entry = self.entry
        return {
            "constraint": entry.unit, "limit": number(entry.limit), "spent": number(self.spent),
            "window": entry.window, "unblock_at": self.unblock_at,
        }  # fmt: skip

    def __str__(self) -> str:
        reserved = f" and {amount(self.entry.unit, self.reserved)} reserved" if self.reserved else ""
        until = f", until {self.unblock_at}" if self.unblock_at else ""
        if not self.allowed and not until:
            until = ", until a turn in flight ends"
        return f"{self.scope}: {amount(self.entry.unit, self.spent)} of {self.entry} spent{reserved}{until}"


def check(account: Account, scope: str, entry: Entry) -> Check:
    """Return how one budget stands now."""
    tally, now = account.tally(scope), account.now()
    spent, reserved = tally.spent(entry.unit, now, entry.seconds), account.reserved(scope, entry.unit)
    full = spent >= entry.limit
    free = iso(tally.below(entry.unit, entry.limit, now, entry.seconds)) if full else ""
    return Check(scope, entry, spent, reserved, free)


@dataclass(frozen=True, slots=True)
class Decision:
    """Every budget that had to be asked."""

    checks: Sequence[Check]

    @property
    def blocked_by(self) -> list[Check]:
        """The budgets that do not allow it."""
        return [c for c in self.checks if not c.allowed]

    @property
    def unblock_at(self) -> str:
        """When spending alone would allow it; empty when it does, or no time is known."""
        return max((c.unblock_at for c in self.blocked_by), default="")

    def rejection(self, project: str) -> dict[str, Any]:
        """Return it as the reference has it, about the narrowest scope that blocks."""
        kind, _, name = self.blocked_by[0].scope.partition(":")
        name = name or project
        blocked = [c.plain() for c in self.blocked_by]
        error = f"{kind} {name!r} over budget"
        return {"error": error, kind: name, "blocked_by": blocked, "unblock_at": self.unblock_at}

    def sentence(self, project: str) -> str:
        """Return in words which budgets block."""
        return f"{self.rejection(project)['error']}: {'; '.join(map(str, self.blocked_by))}"

    def refuse(self, project: str) -> None:
        """Raise `Refused` when a budget blocks: the sentence names every one, `data` is the rejection."""
        if self.blocked_by:
            raise Refused(self.sentence(project), **self.rejection(project))
