"""Who listens: telling clients of both protocol eras that the tools changed.

Legacy clients (up to protocol 2025-11-25) hold a session, and a stream for news in it; modern ones (2026-07-28) have
neither and listen by a long request.
"""

from __future__ import annotations

import mcp_types
import trio
from fastmcp import FastMCP
from mcp.server.connection import Connection
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

from aegis_mcp import sdk

_LIMIT = 1.0  # seconds the clients may take to be told


class Sessions:
    """The legacy sessions of all agents, and the modern listeners."""

    def __init__(self) -> None:
        self._bus = InMemorySubscriptionBus()
        self._listeners = ListenHandler(self._bus)
        self._open: dict[str, tuple[str, Connection]] = {}

    def serve(self, server: FastMCP) -> None:
        """Let modern clients listen; the server then says that its tools may change."""
        asked = mcp_types.SubscriptionsListenRequestParams
        sdk.lowlevel(server).add_request_handler("subscriptions/listen", asked, self._listeners)

    def opened(self, agent_id: str, connection: Connection) -> None:
        """Keep a legacy session for as long as its connection lasts."""
        if connection.session_id:
            self._open[connection.session_id] = agent_id, connection
            connection.exit_stack.callback(self._open.pop, connection.session_id, None)

    def connection(self, agent_id: str, session_id: str) -> Connection | None:
        """Return the connection of a legacy session, if it is open and the agent's."""
        owner, connection = self._open.get(session_id, ("", None))
        return connection if owner == agent_id else None

    def of(self, agent_id: str) -> list[str]:
        """Return the ids of the agent's legacy sessions."""
        return [session_id for session_id, (owner, _) in self._open.items() if owner == agent_id]

    async def announce(self) -> None:
        """Tell every client that the tools changed; those that do not read are not waited for."""
        await self._bus.publish(ToolsListChanged())
        with trio.move_on_after(_LIMIT):
            async with trio.open_nursery() as nursery:
                for _, connection in list(self._open.values()):
                    nursery.start_soon(connection.send_tool_list_changed)

    def close(self) -> None:
        """End the modern listeners' requests as the protocol wants it, with a last message."""
        self._listeners.close()
