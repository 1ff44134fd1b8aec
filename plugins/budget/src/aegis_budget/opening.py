"""Opening the budgets of a project: every part, built once, or a gate that stays shut."""

from __future__ import annotations

from aegis import ConfigError, Interceptor, Kernel
from aegis.events import Fault
from aegis_budget.account import Account
from aegis_budget.admissions import Admissions
from aegis_budget.budget import Budget
from aegis_budget.gate import Gate
from aegis_budget.meter import Meter
from aegis_budget.remarks import Remarks
from aegis_budget.shut import Shut
from aegis_budget.terms import Terms


def opened(kernel: Kernel) -> list[Interceptor]:
    """Return what holds the budgets; raises `ConfigError` when one of them names nobody, or could not be held."""
    longest = kernel.config.section("budgets").longest
    try:
        return _parts(kernel, longest)
    except ConfigError:
        raise
    except Exception as error:  # whatever it is, a plugin that is left out would let all be spent uncapped
        if not longest:
            raise
        kernel.bus.report(Fault("budget", f"its books could not be opened: {error!r}", final=True))
        return [Shut(repr(error))]


def _parts(kernel: Kernel, longest: int) -> list[Interceptor]:
    account = Account(kernel, longest)
    terms = Terms(kernel, account)
    terms.check()
    remarks = Remarks(kernel, account, terms)
    gate = Gate(kernel, account, terms, remarks)
    meter = Meter(kernel, account, terms, gate, remarks)
    kernel.verbs.add("budget", Admissions(kernel, account, terms, gate))
    return [gate, Budget(kernel, account, terms, gate, meter, remarks)]
