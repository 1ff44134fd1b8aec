"""Folders for the temporary files of CLIs: one for each session, in one that aegis holds for as long as it runs."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import trio

from aegis import LaunchError
from aegis_private.runtime import runtime_folder


class SeatFolders:
    """A folder for whoever is given one, until it is taken back. What a CLI left in it goes with it."""

    def __init__(self) -> None:
        self._held, self._above = ExitStack(), Path()
        self._entering, self._numbers = trio.Lock(), count(1)
        self._given: dict[str, Path] = {}

    async def run(self) -> None:
        """Remove everything when cancelled."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                self._above = Path()
                await trio.to_thread.run_sync(self._held.close)

    async def give(self, agent_id: str) -> Path:
        """Return a fresh folder that is this user's alone; the one of before is gone."""
        if removing := self.take_back(agent_id):
            await removing
        async with self._entering:
            if self._above == Path():  # nobody needed one before
                folder = runtime_folder("aegis-seat", LaunchError, large=True)
                self._above = (await trio.to_thread.run_sync(self._held.enter_context, folder)).path
        path = self._given[agent_id] = self._above / str(next(self._numbers))
        path.mkdir(0o700)
        return path

    def take_back(self, agent_id: str) -> Awaitable[None] | None:
        """Remove the folder, if there is one; what is in it is removed in a thread, to be waited for."""
        if path := self._given.pop(agent_id, None):
            try:
                path.rmdir()
            except OSError:
                return trio.to_thread.run_sync(partial(shutil.rmtree, path, ignore_errors=True))
        return None
