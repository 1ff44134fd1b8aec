"""What aegis-mcp offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from aegis import Settings, hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Service


class PlaneSettings(Settings):
    """`plugins.mcp`: how patient the plane is, in seconds."""

    notice_after: float = Field(10, gt=0, description="an agent that has not connected by then is marked")
    progress_every: float = Field(5, gt=0, description="how often a call that still runs says so")
    ticket_after: float = Field(90, gt=0, lt=100, description="a call that takes longer answers with a ticket")


@hookimpl
def aegis_settings() -> Mapping[str, Any]:
    """Own `plugins.mcp`."""
    return {"plugins.mcp": PlaneSettings}


@hookimpl
def aegis_frontends(kernel: Kernel, settings: Mapping[str, Any]) -> list[Service]:
    """Offer the plane; service, interceptor and `plane status` are one thing, so they are enrolled together."""
    from aegis_mcp.plane import Plane  # noqa: PLC0415 - entry modules stay light
    from aegis_mcp.status import PlaneVerbs  # noqa: PLC0415

    plane = Plane(kernel, settings["plugins.mcp"])
    kernel.interceptors.add(plane.furnishing)
    kernel.verbs.add("mcp", PlaneVerbs(plane))
    return [plane]
