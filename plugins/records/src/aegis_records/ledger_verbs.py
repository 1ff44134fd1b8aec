"""The verb that writes the ledger's mirror again."""

from __future__ import annotations

from aegis import Caller, verb
from aegis_records.mirror import Mirror


class LedgerVerbs:
    """The ledger as files that people read."""

    name = "mirror"

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    async def run(self) -> None:
        """Have the mirror written for as long as the kernel lives."""
        await self._mirror.run()

    @verb("ledger export", for_={"person"})
    async def export(self, caller: Caller) -> str:
        """Write the JSON lines of every book again from the ledger."""
        count, files = await self._mirror.rebuild()
        return f"{count} records in {files} files under {self._mirror.folder}"
