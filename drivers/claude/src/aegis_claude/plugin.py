"""What aegis finds: the driver of the provider `claude-code`."""

from __future__ import annotations

from collections.abc import Iterable

from aegis import Driver, hookimpl
from aegis_claude.driver import ClaudeDriver


@hookimpl
def aegis_drivers() -> Iterable[Driver]:
    """Offer Claude Code."""
    return [ClaudeDriver()]
