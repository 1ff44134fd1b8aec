"""The one place that touches names which FastMCP and the MCP SDK do not promise; a test holds each of them."""

# ruff: noqa: SLF001 - gathering them is what this module is for

from __future__ import annotations

from typing import Any

from fastmcp import FastMCP
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.session import ServerSession
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


def lowlevel(server: FastMCP) -> Server[Any]:
    """Return the SDK's server inside a FastMCP one, which is where handlers of further methods are added."""
    return server._mcp_server


def connection(session: ServerSession) -> Connection:
    """Return the connection on which a request came; it outlives the request, and knows the session's id."""
    return session._connection


def transports(manager: StreamableHTTPSessionManager) -> dict[str, StreamableHTTPServerTransport]:
    """Return the open legacy sessions by id."""
    return manager._server_instances
