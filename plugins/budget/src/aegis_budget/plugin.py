"""What aegis-budget offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aegis import hookimpl
from aegis_budget.settings import BudgetsSettings

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own `budgets`."""
    return {"budgets": BudgetsSettings}


@hookimpl
def aegis_interceptors(kernel: Kernel) -> list[Interceptor]:
    """Let turns begin as far as budgets allow it; raises `ConfigError` when a budget could not be held."""
    from aegis_budget.account import Account  # noqa: PLC0415 - entry modules stay light
    from aegis_budget.admissions import Admissions  # noqa: PLC0415
    from aegis_budget.budget import Budget  # noqa: PLC0415
    from aegis_budget.gate import Gate  # noqa: PLC0415
    from aegis_budget.meter import Meter  # noqa: PLC0415
    from aegis_budget.remarks import Remarks  # noqa: PLC0415
    from aegis_budget.terms import Terms  # noqa: PLC0415

    section = kernel.config.section("budgets")
    account = Account(kernel, section.longest)
    terms = Terms(kernel, account)
    terms.check()
    remarks = Remarks(kernel, account, terms)
    gate = Gate(kernel, account, terms, remarks)
    meter = Meter(kernel, account, terms, gate, remarks)
    kernel.verbs.add("budget", Admissions(kernel, account, terms, gate))
    return [gate, Budget(kernel, account, terms, gate, meter, remarks)]
