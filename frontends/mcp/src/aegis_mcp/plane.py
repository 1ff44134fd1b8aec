"""The agents' plane as the kernel sees it: a service that runs, and what it gives every agent's seat.

What is heavy, FastMCP first of all, is imported when the plane comes up (`house.py`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import trio

from aegis.bus import Batch, Bus, Subscription
from aegis.driver import McpServer, Seat
from aegis.events import Fault, VerbsChanged
from aegis_mcp.attendance import Attendance
from aegis_mcp.gate import PATH
from aegis_mcp.primer import instructions
from aegis_mcp.secrets import Secrets
from aegis_mcp.tickets import Tickets

if TYPE_CHECKING:
    from types import ModuleType

    from aegis import Kernel
    from aegis_mcp.house import House
    from aegis_mcp.plugin import PlaneSettings

_FILE = "plane.json"


class Plane:
    """Serves every agent of the project at one loopback port."""

    name = "mcp"

    def __init__(self, kernel: Kernel, settings: PlaneSettings) -> None:
        self.kernel, self.settings = kernel, settings
        self.secrets = Secrets(kernel.project.state / _FILE)
        self.attendance = Attendance(settings.notice_after)
        self.tickets = Tickets(kernel)
        self.refused: Counter[str] = Counter()
        self.house: House | None = None
        self.furnishing = Furnishing(self)
        self.nursery: trio.Nursery | None = None
        self._up = trio.Event()

    async def run(self, started: trio.Event) -> None:
        """Serve until cancelled, then answer what still runs; a second later nothing is left."""
        keep = (await trio.to_thread.run_sync(_load, abandon_on_cancel=True)).keep
        stop = trio.Event()
        with News(self.kernel.bus, self.tickets.orphans, self._verbs_changed) as news:
            async with trio.open_nursery() as self.nursery:
                self.nursery.start_soon(keep, self, stop)
                try:
                    await self._up.wait()
                    started.set()
                    async for batches in news:
                        await self._hear(batches)
                finally:
                    house, self.house, self._up = self.house, None, trio.Event()
                    if house:
                        with trio.CancelScope(shield=True):
                            await house.close()
                    stop.set()

    def opened(self, house: House, port: int) -> None:
        """Let agents in: the house is open at this port."""
        self.secrets.keep_port(port)
        self.house = house
        self._up.set()

    def _verbs_changed(self) -> None:
        if self.house:
            self.house.tools.changed()

    async def _hear(self, batches: list[Batch]) -> None:
        if self.house:
            await self.house.server.announce()
        for agent_id in {b.agent_id for b in batches if b.agent_id}:
            await self.tickets.tell_orphan(agent_id)

    @property
    def url(self) -> str:
        """Where agents' CLIs come to."""
        return f"http://127.0.0.1:{self.secrets.port}{PATH}"

    async def up(self) -> None:
        """Wait until agents can come."""
        await self._up.wait()

    def watch(self, agent_id: str) -> None:
        """See that the agent comes, in the background."""
        agent = self.kernel.roster.get(agent_id)
        if agent and self.house and self.nursery:
            self.nursery.start_soon(self.attendance.watch, agent)

    def fault(self, source: str, error: BaseException) -> None:
        """Let people know of an error that is no caller's."""
        self.kernel.bus.report(Fault(source, f"{type(error).__name__}: {error}"))


class Furnishing:
    """What agents' coming and going means to the plane: an interceptor."""

    name = "mcp"

    def __init__(self, plane: Plane) -> None:
        self.plane = plane

    async def furnish(self, seat: Seat) -> None:
        """Give the agent its way to the plane and tell it what it finds there."""
        plane, kernel = self.plane, self.plane.kernel
        await plane.up()
        await self._end_sessions(seat.agent_id)  # of a CLI that is no more
        plane.attendance.expect(seat.agent_id)
        secret = plane.secrets.of(seat.agent_id)
        seat.servers.append(McpServer("aegis", plane.url, {"Authorization": f"Bearer {secret}"}))
        if agent := kernel.roster.get(seat.agent_id):
            seat.primer.append(instructions(seat.handle, kernel.verbs.visible(kernel.roster.caller(agent))))

    async def agent_started(self, agent_id: str) -> None:
        """See that its CLI finds the plane."""
        self.plane.watch(agent_id)

    async def interrupted(self, agent_id: str) -> None:
        """Cut short what the turn waits for: not every CLI tells its server that a turn was cancelled."""
        if house := self.plane.house:
            house.calls.cancel(agent_id, "the turn was interrupted", tickets=False)

    async def agent_closed(self, agent_id: str) -> None:
        """Cut short everything of the agent's; its secret opens nothing any more."""
        self.plane.attendance.leave(agent_id)
        if house := self.plane.house:
            house.calls.cancel(agent_id, "the agent was closed", tickets=True)
        await self._end_sessions(agent_id)

    async def _end_sessions(self, agent_id: str) -> None:
        if house := self.plane.house:
            house.calls.cancel(agent_id, "the agent's CLI has ended", tickets=False)
            await house.transport.drop(agent_id)


class News(Subscription):
    """What the plane must hear: of verbs, and of agents that are owed a word; all other events pass by unseen."""

    def __init__(self, bus: Bus, orphans: set[str], changed: Callable[[], None]) -> None:
        super().__init__(bus, capacity=1_000, lossless=False)
        self._orphans, self._changed = orphans, changed

    def push(self, batch: Batch) -> None:
        """Take the batch, or leave it; that verbs changed is known before the next line of whoever changed them."""
        if not batch.agent_id:
            if not any(type(event) is VerbsChanged for event in batch.events):
                return
            self._changed()
        elif batch.agent_id not in self._orphans:
            return
        self._orphans.discard(batch.agent_id)
        super().push(batch)


def _load() -> ModuleType:
    """Import what hosts the plane, in a thread: it takes a second or two in which the kernel has other work."""
    # FastMCP reads both as it is imported: it would print to the terminal and take settings from the project's `.env`.
    os.environ.setdefault("FASTMCP_LOG_ENABLED", "false")
    os.environ.setdefault("FASTMCP_ENV_FILE", os.devnull)
    return import_module("aegis_mcp.house")
