"""Opening the budgets of a project: every part, built once; if that fails, nothing may be spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from aegis import ConfigError, Interceptor, Kernel, Refused, Work
from aegis.events import Fault
from aegis_budget.budgets import Budgets
from aegis_budget.limiter import Limiter
from aegis_budget.notes import Notes
from aegis_budget.service import Meter
from aegis_budget.store import Account
from aegis_budget.verbs import BudgetVerbs


def opened(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Return what holds the budgets; raises `ConfigError` when one of them names nobody, or could not be held."""
    longest = settings["budgets"].longest
    try:
        return _parts(kernel, settings)
    except ConfigError:
        raise
    except Exception as error:  # whatever it is, a plugin that is left out would let all be spent uncapped
        if not longest:
            raise
        kernel.bus.report(Fault("budget", f"its books could not be opened: {error!r}", final=True))
        return [Unavailable(repr(error))]


def _parts(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    account = Account(kernel, settings["budgets"].longest)
    budgets = Budgets(kernel, settings, account)
    budgets.check()
    kernel.config.remarkers.add("budget", budgets.remarks)
    notes = Notes(kernel, account, budgets)
    limiter = Limiter(kernel, account, budgets, notes)
    meter = Meter(kernel, account, budgets, limiter, notes)
    return [limiter, BudgetVerbs(kernel, account, budgets, limiter, meter, notes)]


class Unavailable:
    """Refuses every turn: a cap that cannot be held must not be taken for one that is."""

    name = "budget"
    strict = True

    def __init__(self, why: str) -> None:
        self._why = why

    async def before_turn(self, turn: Any) -> None:
        """Refuse it."""
        self._refuse()

    async def admit(self, work: Work) -> None:
        """Refuse it."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Refused(
            f"there are budgets, and aegis-budget could not start ({self._why}); correct that, or remove them"
        )
