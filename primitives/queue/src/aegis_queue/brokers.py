"""Which broker keeps the tasks: those that plugins offer, and the one that the project has chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from aegis import Refused
from aegis.errors import listed, nearest
from aegis_queue.broker import Broker
from aegis_queue.task import Task


class Brokers:
    """Every offered broker, and the chosen one once it is open."""

    def __init__(self, offered: Mapping[str, Broker], chosen: str) -> None:
        self._offered, self._chosen = offered, chosen
        self._open: Broker | None = None
        self._tried = trio.Event()

    async def open(self, changed: Callable[[Task], None]) -> Broker:
        """Open the chosen broker and return it; raises `Refused` when nobody offers it."""
        try:
            broker = self._offered.get(self._chosen)
            if broker is None:
                raise self._missing()
            await broker.open(changed)
            self._open = broker
            return broker
        finally:
            self._tried.set()

    async def in_use(self) -> Broker:
        """Return the broker that keeps the tasks, once it is open; raises `Refused` when there is none."""
        if self._open is None:
            await self._tried.wait()
        if self._open is None:
            raise self._missing()
        return self._open

    def _missing(self) -> Refused:
        what = f"no plugin here offers the broker {self._chosen!r}, which plugins.queue.broker names"
        return Refused(f"{what} (there are: {listed(self._offered)}).{nearest(self._chosen, self._offered)}")
