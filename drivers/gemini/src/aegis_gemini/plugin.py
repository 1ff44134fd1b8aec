"""What aegis finds: the driver of the provider `gemini`."""

from __future__ import annotations

from collections.abc import Iterable

from aegis import Driver, hookimpl
from aegis_gemini.driver import GeminiDriver


@hookimpl
def aegis_drivers() -> Iterable[Driver]:
    """Offer Gemini CLI."""
    return [GeminiDriver()]
