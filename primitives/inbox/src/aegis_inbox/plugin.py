"""What aegis-inbox offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis import hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_primitives(kernel: Kernel) -> list[Primitive]:
    """Offer the verbs on agents and on messages."""
    from aegis_inbox.agent_verbs import AgentVerbs  # noqa: PLC0415 - entry modules stay light
    from aegis_inbox.message_verbs import MessageVerbs  # noqa: PLC0415

    return [AgentVerbs(kernel), MessageVerbs(kernel)]
