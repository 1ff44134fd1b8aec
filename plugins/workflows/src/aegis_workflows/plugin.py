"""What aegis-workflows offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl(optionalhook=True)
def aegis_workflows() -> list[Callable[..., Any]]:
    """Offer the catalogue."""
    from aegis_workflows.catalogue import WORKFLOWS  # noqa: PLC0415 - entry modules stay light

    return WORKFLOWS


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Say so when nothing here runs workflows."""
    if "workflow" not in kernel.plugins.names:
        from aegis.events import Notice  # noqa: PLC0415 - entry modules stay light

        why = "aegis-workflows has no effect: aegis-workflow, which runs workflows, is not here"
        kernel.bus.publish("", Notice(why, "warning", "workflows"))
    return []
