"""The agents' plane as the kernel sees it: a service that runs for as long as the kernel does.

What is heavy, FastMCP first of all, is imported while the kernel has other work (`server_run.py`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio

from aegis import AegisError
from aegis.bus import Batch
from aegis.events import Fault, VerbsChanged
from aegis_mcp.auth import PATH
from aegis_mcp.port import Port, listening
from aegis_mcp.presence import Presence
from aegis_mcp.primer import Primers
from aegis_mcp.secret_store import Secrets
from aegis_mcp.settings import SECTION, PlaneSettings
from aegis_mcp.store import Tickets
from aegis_processes.connections import ConnectionLimits
from aegis_processes.descriptors import limit
from aegis_processes.imports import imported

if TYPE_CHECKING:
    from types import ModuleType

    from aegis import Kernel
    from aegis_mcp.server_run import ServerRun

_FILE = "plane.json"


class Plane:
    """Serves every agent of the project at one loopback port."""

    name = "mcp"

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self.kernel, self._sections = kernel, settings
        self.port = Port(kernel.project.state / _FILE)
        self.secrets = Secrets(kernel.ledger)
        self.presence = Presence(lambda: self.settings.notice_after)
        self.primers = Primers(kernel.verbs)
        self.tickets = Tickets(kernel)
        self.refused: Counter[str] = Counter()
        self.server_run: ServerRun | None = None
        self.nursery: trio.Nursery | None = None
        self._up, self._why = trio.Event(), ""

    @property
    def settings(self) -> PlaneSettings:
        """The section as it is now."""
        section: PlaneSettings = self._sections[SECTION]
        return section

    def limits(self) -> ConnectionLimits:
        """Return how many connections there may be now."""
        now = self.settings
        most = max(now.max_silent, limit() // 2)  # the rest is for CLIs, terminals, files and people
        return ConnectionLimits(now.max_connections, now.max_silent, most, now.header_within)

    async def run(self, started: trio.Event) -> None:
        """Serve until cancelled, then answer what still runs; a second later nothing is left.

        Callers can come in at once, and are answered as soon as the server is imported: who needs that waits for `up`.
        """
        with listening(self.port.number) as bound, self.kernel.bus.subscribe(1_000, only=self._concerns) as news:
            self.port.keep(bound.getsockname()[1])
            self.primers.changed()  # nobody told it before
            started.set()
            if not (module := await self._imported()):
                return
            stop = trio.Event()
            async with trio.open_nursery() as self.nursery:
                self.nursery.start_soon(module.serve_until, stop, self, bound)
                try:
                    await self._up.wait()
                    async for batches in news:
                        await self._hear(batches)
                finally:
                    run, self.server_run = self.server_run, None
                    if run:
                        self._up = trio.Event()
                        with trio.CancelScope(shield=True):
                            await run.close()
                    stop.set()

    async def _imported(self) -> ModuleType | None:
        """Return the server's module, None when it cannot be imported, which is reported and which `up` then says."""
        # FastMCP reads both as it is imported: it would print to the terminal and take settings from the project's
        # `.env`.
        os.environ.setdefault("FASTMCP_LOG_ENABLED", "false")
        os.environ.setdefault("FASTMCP_ENV_FILE", os.devnull)
        try:
            return await imported("aegis_mcp.server_run")
        except Exception as error:  # noqa: BLE001 - a library that is broken may raise anything, each time again
            self._why = f"the agents' plane cannot be imported: {type(error).__name__}: {error}"
            self.kernel.bus.report(Fault("mcp", self._why, final=True))
            self._up.set()
            return None

    def opened(self, run: ServerRun) -> None:
        """Let agents in: the server answers."""
        self.server_run = run
        self._up.set()

    def _concerns(self, batch: Batch) -> bool:
        """Say whether the plane must hear it; that verbs changed is known before the call that changed them goes on."""
        if batch.agent_id:
            owed = batch.agent_id in self.tickets.owed
            self.tickets.owed.discard(batch.agent_id)
            return owed
        changed = any(type(event) is VerbsChanged for event in batch.events)
        if changed:
            self.primers.changed()
            if self.server_run:
                self.server_run.tools.changed()
        return changed

    async def _hear(self, batches: list[Batch]) -> None:
        if self.server_run:
            await self.server_run.server.announce()
        for agent_id in {b.agent_id for b in batches if b.agent_id}:
            await self.tickets.tell_lost(agent_id)

    @property
    def url(self) -> str:
        """The address agents' CLIs connect to."""
        return f"http://127.0.0.1:{self.port.number}{PATH}"

    async def up(self) -> None:
        """Wait until agents are answered; raises `AegisError` when they will not be."""
        await self._up.wait()
        if self._why:
            raise AegisError(self._why)

    def watch(self, agent_id: str) -> None:
        """Warn in the background if the agent does not connect."""
        agent = self.kernel.roster.get(agent_id)
        if agent and self.server_run and self.nursery:
            self.nursery.start_soon(self.presence.watch, agent)

    def fault(self, source: str, error: BaseException) -> None:
        """Report an error that is no caller's."""
        self.kernel.bus.report(Fault(source, f"{type(error).__name__}: {error}"))
