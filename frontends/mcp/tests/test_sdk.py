"""The names that FastMCP and the MCP SDK do not promise, each held by a test: a new version fails here first."""

import mcp_types
from fastmcp import FastMCP
from fastmcp.server.middleware import Middleware
from mcp.client import Client
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from trio.testing import wait_all_tasks_blocked

from aegis_mcp import sdk


def test_the_lowlevel_server_takes_handlers_and_a_lookup_of_schemas():
    server = sdk.lowlevel(FastMCP("x"))
    assert isinstance(server, Server)
    assert server.get_tool_input_schema is None  # ours replaces it, and is looked at before the list of tools
    handler = ListenHandler(InMemorySubscriptionBus())
    server.add_request_handler("subscriptions/listen", mcp_types.SubscriptionsListenRequestParams, handler)
    assert server.get_capabilities(protocol_version="2026-07-28").tools.list_changed is True


async def test_a_session_knows_its_connection():
    seen = []

    class Spy(Middleware):
        async def on_initialize(self, context, call_next):
            seen.append(sdk.connection(context.fastmcp_context.session))
            return await call_next(context)

    server = FastMCP("x", middleware=[Spy()])
    async with Client(sdk.lowlevel(server), mode="legacy"):
        [connection] = seen
        assert isinstance(connection, Connection)
        ended = []
        connection.exit_stack.callback(ended.append, "over")
    assert ended == ["over"]


def test_a_manager_knows_its_sessions():
    assert sdk.transports(StreamableHTTPSessionManager(sdk.lowlevel(FastMCP("x")))) == {}


async def test_open_sessions_are_known_by_id_and_forgotten(scene, raw):
    await scene.spawn("alice")
    client = raw("alice")
    await client.hello()
    server_run = scene.plane.server_run
    assert set(sdk.transports(server_run.manager)) == {client.session}
    assert server_run.sessions.of(scene.kernel.roster.find("alice").id) == [client.session]
    await client.http.delete(scene.url("alice"), headers=client.headers())
    await wait_all_tasks_blocked(0.01)
    assert sdk.transports(server_run.manager) == {}
    assert server_run.sessions.of(scene.kernel.roster.find("alice").id) == []
