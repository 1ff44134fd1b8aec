"""What aegis finds: the driver of the provider `acp`."""

from __future__ import annotations

from collections.abc import Iterable

from aegis import Driver, hookimpl
from aegis_acp.driver import AcpDriver


@hookimpl
def aegis_drivers() -> Iterable[Driver]:
    """Offer whatever agent a profile's `command` starts."""
    return [AcpDriver()]
