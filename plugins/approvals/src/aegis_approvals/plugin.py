"""What aegis-approvals offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from aegis import Settings, hookimpl
from aegis_approvals.rule import Rule

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel


class ApprovalsSettings(Settings):
    """`plugins.approvals`."""

    timeout: float = Field(3600, gt=0, description="seconds a request waits for a person before it expires")
    rules: list[Rule] = Field([], description="what is answered without asking; deny rules win over allow rules")


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own `plugins.approvals`."""
    return {"plugins.approvals": ApprovalsSettings}


@hookimpl
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Answer what modes and rules answer, then ask a person."""
    from aegis_approvals.approvals import Approvals  # noqa: PLC0415 - entry modules stay light
    from aegis_approvals.docket import Docket  # noqa: PLC0415
    from aegis_approvals.modes import Modes  # noqa: PLC0415
    from aegis_approvals.names import Names  # noqa: PLC0415
    from aegis_approvals.rulebook import Rulebook  # noqa: PLC0415

    rules, docket = Rulebook(kernel), Docket(kernel)
    return [Modes(kernel.project.root, rules, docket), Approvals(kernel, rules, docket), Names(kernel, rules)]
