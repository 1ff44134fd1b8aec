"""What aegis-workflows offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis import hookimpl


@hookimpl
def aegis_workflows() -> list[Callable[..., Any]]:
    """Offer the catalogue."""
    from aegis_workflows.catalogue import WORKFLOWS  # noqa: PLC0415 - entry modules stay light

    return WORKFLOWS
