"""Which broker keeps the tasks: those that plugins offer, and the one that the project has chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from aegis import Kernel, Refused
from aegis.bus import Subscription
from aegis.errors import listed, nearest
from aegis.events import Gap, PluginsChanged
from aegis.registry import Registry
from aegis_queue.broker import Broker
from aegis_queue.task import Task


class Brokers:
    """Every offered broker, and the chosen one while it is open."""

    def __init__(self, chosen: str) -> None:
        self.offered: Registry[Broker] = Registry("broker")
        self._chosen = chosen
        self._open: Broker | None = None
        self._known = trio.Event()  # the chosen one is open, or nobody offers it

    @asynccontextmanager
    async def open(self, kernel: Kernel, changed: Callable[[Task], None]) -> AsyncIterator[Broker]:
        """Have the chosen broker open inside, as soon as a plugin offers it."""
        broker = await self._offer(kernel)
        async with broker.open(kernel, changed):
            self._open = broker
            self._known.set()
            try:
                yield broker
            finally:
                self._open, self._known = None, trio.Event()

    async def _offer(self, kernel: Kernel) -> Broker:
        with kernel.bus.subscribe(only=(PluginsChanged,)) as news:
            while (broker := self.offered.get(self._chosen)) is None:
                self._known.set()
                await _other_plugins(news)
            return broker

    async def gone(self, kernel: Kernel, broker: Broker) -> None:
        """Return once no plugin offers this broker any more."""
        with kernel.bus.subscribe(only=(PluginsChanged,)) as news:
            while self.offered.get(self._chosen) is broker:
                await _other_plugins(news)

    async def in_use(self) -> Broker:
        """Return the broker that keeps the tasks, once it is open; raises `Refused` while no plugin offers it."""
        while self._open is None:
            await self._known.wait()
            if self._open is None:
                what = f"no plugin here offers the broker {self._chosen!r}, which plugins.queue.broker names"
                raise Refused(f"{what} (there are: {listed(self.offered)}).{nearest(self._chosen, self.offered)}")
        return self._open


async def _other_plugins(news: Subscription) -> None:
    """Return once plugins have come or gone."""
    async for batches in news:
        if any(isinstance(event, PluginsChanged | Gap) for batch in batches for event in batch.events):
            return
