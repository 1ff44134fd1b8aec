"""How a decision is said in ACP: by one of the options the agent offered."""

from __future__ import annotations

from collections.abc import Sequence

from aegis import Decision
from aegis_acp.v1 import PermissionOption


def chosen(decision: Decision, offered: Sequence[PermissionOption], *, ever: bool) -> str:
    """Return the id of the option that says the decision; empty when there is none.

    What is allowed is allowed once: an option that lasts is chosen only if there is nothing to ask `ever`.
    """
    kinds = ("allow_once", "allow_always") if decision.allowed else ("reject_once", "reject_always")
    wanted = kinds if ever or not decision.allowed else kinds[:1]
    by_kind = {o.kind: o.option_id for o in reversed(offered)}
    return next((by_kind[kind] for kind in wanted if kind in by_kind), "")
