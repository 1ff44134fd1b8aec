"""Registries whose entries have owners: what a plugin adds is taken back whole when it leaves.

Whose doing it is when something is registered is set while a plugin enters, its tasks run and its verbs are served.
"""

from __future__ import annotations

from typing import TypeVar

from aegis.errors import AegisError, Refused
from aegis_registry import registry
from aegis_registry.registry import Owner, acting, owner

__all__ = ["Owner", "Registry", "Taken", "acting", "acts", "owner"]

T = TypeVar("T")


class Taken(AegisError):
    """Two plugins offer the same thing."""


class Registry(registry.Registry[T]):
    """Things by name, each with the plugin that owns it; `add` raises `Taken`, or `Refused` as `acts` does."""

    taken, left = Taken, Refused


def acts() -> str:
    """Return whose doing it is; raises `Refused` for a plugin that has left: nobody would take back what it adds."""
    return registry.acts(Refused)
