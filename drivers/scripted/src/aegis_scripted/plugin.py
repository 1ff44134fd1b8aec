"""What aegis finds: the driver of the provider `scripted`."""

from __future__ import annotations

from collections.abc import Iterable

from aegis.driver import Driver
from aegis.hookspecs import hookimpl
from aegis_scripted.driver import ScriptedDriver


@hookimpl
def aegis_drivers() -> Iterable[Driver]:
    """Offer the scripted agent."""
    return [ScriptedDriver()]
