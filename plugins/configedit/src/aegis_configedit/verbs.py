"""What people and programs do with the configuration."""

from __future__ import annotations

import msgspec

from aegis import Caller, Kernel, verb
from aegis.project import FILE


class Status(msgspec.Struct, frozen=True):
    """What is in force: `error` says why the files are not, `remarks` what in them has no effect."""

    file: str
    error: str
    remarks: list[str]

    def __str__(self) -> str:
        state = f"the last good configuration is in force: {self.error}" if self.error else f"{self.file} is in force"
        return "\n".join([state, *self.remarks])


class ConfigVerbs:
    """Reads the files again, and says what is in force."""

    name = "config"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @verb("config status", read_only=True)
    async def status(self, caller: Caller) -> Status:
        """Show whether the configuration files are in force, and what in them has no effect."""
        return self._status()

    @verb("config reload", for_={"person", "program"})
    async def reload(self, caller: Caller) -> Status:
        """Read the configuration files now, without waiting for the watch to notice a change.

        What the last good files said stays in force when they are wrong.
        """
        await self._kernel.config.refresh(caller.principal)
        return self._status()

    def _status(self) -> Status:
        config = self._kernel.config
        return Status(str(config.root / FILE), config.error, config.remarks)
