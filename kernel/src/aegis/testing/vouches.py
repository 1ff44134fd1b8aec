"""A policy for tests of what comes after it: every agent may start every other."""

from __future__ import annotations

from aegis.callers import Caller
from aegis.hookspecs import hookimpl


class Vouches:
    """Vouches for every start; a plugin, and its interceptor."""

    name = "vouches"

    @hookimpl
    def aegis_interceptors(self) -> list[Vouches]:
        """Offer itself."""
        return [self]

    async def before_spawn(self, by: Caller, profile: str, handle: str) -> bool:
        """Vouch for it."""
        return True
