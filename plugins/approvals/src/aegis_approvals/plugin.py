"""What aegis-approvals offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from aegis import Settings, hookimpl

if TYPE_CHECKING:
    from aegis import Interceptor, Kernel


class ApprovalsSettings(Settings):
    """`plugins.approvals`."""

    timeout: float = Field(3600, gt=0, description="seconds a request waits for a person before it expires")


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own `plugins.approvals`."""
    return {"plugins.approvals": ApprovalsSettings}


@hookimpl
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> list[Interceptor]:
    """Answer what the mode answers, then ask a person."""
    from aegis_approvals.approvals import Approvals  # noqa: PLC0415 - entry modules stay light
    from aegis_approvals.modes import Modes  # noqa: PLC0415

    return [Modes(), Approvals(kernel, settings["plugins.approvals"].timeout)]
