"""Takes out what is over and old: when a person says so, and once a day where the settings do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import trio

from aegis import AegisError, Caller, Kernel, Refused
from aegis.clock import stamp
from aegis.events import ConfigChanged, Notice
from aegis_ledger.compaction import Compacted, compact
from aegis_retention.settings import Keep, age_of, size_of
from aegis_retention.state_files import remove_transcripts, sizes

_DAY, _START = 86_400.0, 60.0  # seconds
_STEPS = [timedelta(days=days) for days in (90, 60, 30, 14, 7, 3, 1)]


class Retention:
    """Keeps a project's state as small as its settings say."""

    name = "retention"

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel, self._settings = kernel, settings
        self._busy = trio.Lock()

    @property
    def keep(self) -> Keep:
        """What the section `keep` says now."""
        found: Keep = self._settings["keep"]
        return found

    async def run(self) -> None:
        """Do once a day what `keep` says, for as long as it says something."""
        with self._kernel.bus.subscribe(only=(ConfigChanged,)) as news:
            await trio.sleep(_START if self.keep.age or self.keep.size else 0)  # others begin first
            while True:
                if self.keep.age or self.keep.size:
                    try:
                        await self._as_kept()
                    except AegisError as error:
                        self._kernel.bus.publish("", Notice(f"nothing was taken out: {error}", "warning", "retention"))
                with trio.move_on_after(_DAY if self.keep.age or self.keep.size else float("inf")):
                    await news.__anext__()

    async def _as_kept(self) -> None:
        keep, state = self.keep, self._kernel.project.state
        ages = [age_of(keep.age)] if keep.age else []
        if keep.size:
            ages += [age for age in _STEPS if not ages or age < ages[0]]
        for number, age in enumerate(ages):
            if number or not keep.age:
                large = sum((await trio.to_thread.run_sync(sizes, state)).values())
                if large <= size_of(keep.size):
                    return
            if (done := await self.compact(age)).records:
                said = f"{done.records:,} records that were over for {age.days} days are taken out, as `keep` says"
                self._kernel.bus.publish("", Notice(said, "info", "retention"))

    async def compact(self, age: timedelta, tell: Callable[[str], object] = lambda text: None) -> Compacted:
        """Take out what has been over for longer than this, and the files that were made of it."""
        if self._busy.locked():
            raise Refused("what is old is being taken out already; ask again when that is done")
        async with self._busy:
            kernel, until = self._kernel, self._kernel.clock.now() - age
            done = await compact(kernel.ledger, stamp(until), tell)
            living = {agent["id"] for agent in kernel.roster.snapshot()}
            files = await trio.to_thread.run_sync(remove_transcripts, kernel.project.state, living, until.timestamp())
            tell(f"{files:,} files with transcripts of agents that are gone removed")
            if done.records and "ledger export" in kernel.verbs.verbs:
                await kernel.verbs.call(Caller("human", self.name), "ledger export")
            return done
