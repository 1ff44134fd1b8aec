"""What the plane does when agents come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.driver import McpServer, Seat

if TYPE_CHECKING:
    from aegis_mcp.service import Plane


class PlaneInterceptor:
    """Gives each new session its way to the plane, and ends the calls that nobody can want any more."""

    name = "mcp"
    timeout = 60.0  # the first agent may wait for the server's import

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def before_open(self, seat: Seat) -> None:
        """Give the agent the plane's address, its secret and its primer."""
        plane, kernel = self._plane, self._plane.kernel
        await plane.up()
        await self._end_sessions(seat.agent_id)  # of a CLI that has ended
        plane.presence.expect(seat.agent_id)
        secret = await plane.secrets.mint(seat.agent_id)
        seat.servers.append(McpServer("aegis", plane.url, {"Authorization": f"Bearer {secret}"}))
        if agent := kernel.roster.get(seat.agent_id):
            seat.primer.append(plane.primers.of(kernel.roster.caller(agent)))

    def agent_started(self, agent_id: str) -> None:
        """Watch whether its CLI connects."""
        self._plane.watch(agent_id)

    def interrupted(self, agent_id: str) -> None:
        """Cancel the calls of the turn: not every CLI tells its server that a turn was cancelled."""
        if run := self._plane.server_run:
            run.calls.cancel(agent_id, "the turn was interrupted", tickets=False)

    async def agent_closed(self, agent_id: str) -> None:
        """Cancel all calls of the agent; its secret opens nothing any more."""
        self._plane.presence.forget(agent_id)
        if run := self._plane.server_run:
            run.calls.cancel(agent_id, "the agent was closed", tickets=True)
        await self._end_sessions(agent_id)
        await self._plane.secrets.close(agent_id)

    async def _end_sessions(self, agent_id: str) -> None:
        if run := self._plane.server_run:
            run.calls.cancel(agent_id, "the agent's CLI has ended", tickets=False)
            await run.transport.drop(agent_id)
