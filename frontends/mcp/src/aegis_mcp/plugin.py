"""What aegis-mcp offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl
from aegis_mcp.settings import SECTION, PlaneSettings

if TYPE_CHECKING:
    from aegis import Kernel, Service


@hookimpl
def aegis_settings() -> Mapping[str, Any]:
    """Own `plugins.mcp`."""
    return {SECTION: PlaneSettings}


@hookimpl
def aegis_frontends(kernel: Kernel, settings: Mapping[str, Any]) -> list[Service]:
    """Offer the plane; service, interceptor and `plane status` are one thing, so they are added together."""
    from aegis_mcp.interceptor import PlaneInterceptor  # noqa: PLC0415 - entry modules stay light
    from aegis_mcp.service import Plane  # noqa: PLC0415
    from aegis_mcp.verbs import PlaneVerbs  # noqa: PLC0415

    plane = Plane(kernel, settings)
    kernel.interceptors.add(PlaneInterceptor(plane))
    kernel.verbs.add("mcp", PlaneVerbs(plane))
    return [plane]
