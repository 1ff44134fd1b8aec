"""The hook that aegis-workflow publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aegis import hookspec


@hookspec
def aegis_workflows() -> Iterable[Callable[..., Any]]:  # type: ignore[empty-body]
    """Return workflows: async functions whose first parameter is `engine`.

    Agents may run one whose `agents_need` is the permission that they need (`"read"`, `"auto"`, `"write"`, `"full"`).
    """
