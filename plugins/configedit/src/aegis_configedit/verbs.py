"""What people and programs do with the configuration."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

import msgspec
from pydantic import Field

from aegis import Caller, Kernel, Refused, verb
from aegis.project import FILE
from aegis_trust import shown
from aegis_trust.contents import Contents


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

    @verb("config trust", for_={"person"})
    async def trust(
        self,
        caller: Caller,
        mark: Annotated[str, Field(description="what this command showed: trust exactly that")] = "",
    ) -> str:
        """Show what waits because nobody trusts it yet; with the mark that is shown, trust it and put it in force."""
        trust = self._kernel.trust
        if not (why := trust.reason()):
            return "everything is in force as you trust it"
        contents = trust.look()
        now = _mark_of(contents)
        if not mark:
            return f"{why}\n\n{shown.diff(trust, contents)}\n\n`config trust {now}` trusts this and takes it into force"
        if mark != now:
            raise Refused(f"what waits is no longer what {mark!r} stands for; `config trust` shows what it is now")
        trust.accept(contents, caller.principal)
        await self._kernel.config.refresh(caller.principal)
        return str(self._status())

    def _status(self) -> Status:
        config = self._kernel.config
        return Status(str(config.root / FILE), config.error, config.remarks)


def _mark_of(contents: Contents) -> str:
    """Return a short word for exactly these contents."""
    said = [*((name, sha256(text).hexdigest()) for name, text in contents.settings.items()), *contents.files.items()]
    return sha256(repr(sorted(said)).encode()).hexdigest()[:10]
