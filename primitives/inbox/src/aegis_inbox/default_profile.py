"""Which profile a new agent has when none is named: as configured, else the first provider whose CLI is installed."""

from __future__ import annotations

import trio

from aegis import Driver, Kernel, Refused
from aegis.driver import info_of
from aegis.errors import listed

DEFAULT = "default"


class DefaultProfile:
    """Finds it; CLIs are looked for once, in a thread, when that is first needed."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._found: dict[tuple[str, ...], str] = {}  # by the providers among which it was looked for
        self._looking = trio.Lock()

    async def meant(self, profile: str) -> str:
        """Return the profile of this name; of none, or of `default` where no profile is called so, the default one."""
        config = self._kernel.config
        other = profile == DEFAULT and profile not in (*config.names(), *config.unusable)
        return profile if profile and not other else await self.name()

    async def name(self) -> str:
        """Return the name of the profile; raises `Refused` when nothing is configured and no CLI is installed."""
        if configured := self._kernel.config.default_agent:
            return configured
        drivers = {driver.name: driver for driver in self._kernel.drivers.values()}
        async with self._looking:
            if tuple(drivers) not in self._found:
                found = await trio.to_thread.run_sync(_first_installed, drivers, abandon_on_cancel=True)
                self._found[tuple(drivers)] = found
        if found := self._found[tuple(drivers)]:
            return found
        where = f"looked for the CLIs of {listed(drivers)}" if drivers else "there is no driver"
        raise Refused(f"no profile is named, and no agent CLI is installed ({where}): install one, or name a profile")


def _first_installed(drivers: dict[str, Driver]) -> str:
    """Return the first whose CLI is there; one that is only for want of another comes last."""
    ordered = sorted(drivers, key=lambda name: info_of(drivers[name]).fallback)
    return next((name for name in ordered if drivers[name].probe().found), "")
