"""What aegis-approvals offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl
from aegis_approvals.settings import ApprovalsSettings

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own `plugins.approvals`."""
    return {"plugins.approvals": ApprovalsSettings}


@hookimpl
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Answer what modes and rules answer, then ask a person."""
    from aegis_approvals.modes import Modes  # noqa: PLC0415 - entry modules stay light
    from aegis_approvals.rulebook import Rulebook  # noqa: PLC0415
    from aegis_approvals.spawn_policy import SpawnPolicy  # noqa: PLC0415
    from aegis_approvals.store import RequestStore  # noqa: PLC0415
    from aegis_approvals.verbs import ApprovalVerbs  # noqa: PLC0415

    rules, store = Rulebook(kernel), RequestStore(kernel)
    return [Modes(rules, store), ApprovalVerbs(kernel, rules, store), SpawnPolicy(kernel, rules)]
