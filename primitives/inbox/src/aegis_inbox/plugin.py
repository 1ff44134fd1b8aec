"""What aegis-inbox offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Offer agents' coming and going, messages, and looking around."""
    from aegis_inbox.agents import Agents  # noqa: PLC0415 - entry modules stay light
    from aegis_inbox.messages import Messages  # noqa: PLC0415
    from aegis_inbox.workspace import Workspace  # noqa: PLC0415

    return [Agents(kernel), Messages(kernel), Workspace(kernel)]
