"""What aegis finds: the driver of the provider `opencode`."""

from __future__ import annotations

from collections.abc import Iterable

from aegis import Driver, hookimpl
from aegis_opencode.driver import OpenCodeDriver


@hookimpl
def aegis_drivers() -> Iterable[Driver]:
    """Offer OpenCode."""
    return [OpenCodeDriver()]
