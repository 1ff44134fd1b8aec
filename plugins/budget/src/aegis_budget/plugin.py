"""What aegis-budget offers."""

from __future__ import annotations

from collections.abc import Mapping
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
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Let turns begin as far as budgets allow it; raises `ConfigError` when a budget could not be held."""
    from aegis_budget.opening import opened  # noqa: PLC0415 - entry modules stay light

    return opened(kernel, settings)
