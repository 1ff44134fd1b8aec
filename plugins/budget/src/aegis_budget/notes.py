"""The note beside every agent of whose budget little is left, and when it is to be removed."""

from __future__ import annotations

from decimal import Decimal

from aegis import Kernel
from aegis_budget.budgets import Budgets, queue_of, scopes_of
from aegis_budget.settings import Entry, amount
from aegis_budget.store import Account

NEARLY = Decimal("0.8")  # of a limit


class Notes:
    """Shown on every surface as long as four fifths of a budget are spent."""

    def __init__(self, kernel: Kernel, account: Account, budgets: Budgets) -> None:
        self._kernel, self._account, self._budgets = kernel, account, budgets
        self._until = float("inf")
        self._shown = False

    def show(self) -> None:
        """Make every agent's note true now."""
        self._until = float("inf")
        if not self._budgets.any and not self._shown:
            return
        self._shown = self._budgets.any
        words: dict[str, str] = {}
        for agent in self._kernel.roster:
            scopes = scopes_of(agent.profile_name, queue_of(agent.by))
            for scope in scopes:
                if scope not in words:
                    words[scope] = "; ".join(
                        filter(None, (self._of(s, e) for s, e in self._budgets.covering((scope,))))
                    )
            agent.note("budget", "; ".join(filter(None, (words[scope] for scope in scopes))))

    def _of(self, scope: str, entry: Entry) -> str:
        tally, now, mark = self._account.tally(scope), self._account.now(), entry.limit * NEARLY
        if tally.spent(entry.unit, now, entry.seconds) < mark:
            return ""
        self._until = min(self._until, tally.below(entry.unit, mark, now, entry.seconds))
        return f"{scope}: over {amount(entry.unit, mark)} of {entry} is spent"

    @property
    def wait(self) -> float:
        """Seconds after which a note may have to be removed."""
        return max(self._until - self._account.now(), 0)
