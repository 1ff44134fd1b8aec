"""The MCP transport, with sessions that survive our restart and an agent's end: clients cannot know of either."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import trio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from aegis_mcp import sdk
from aegis_mcp.auth import REQUEST, Message, Receive, Scope, Send
from aegis_mcp.sessions import Sessions

_SESSION, _VERSION, _HOST = b"mcp-session-id", b"mcp-protocol-version", b"host"
_UNSAID = "2025-06-18"  # what Gemini speaks; it sends no version
UNUSED = 600.0  # seconds after which a session without a stream and without requests is put away
_JSON = b"application/json"


class Transport:
    """An ASGI application for requests whose agent is known."""

    def __init__(self, manager: StreamableHTTPSessionManager, sessions: Sessions, most: Callable[[], int]) -> None:
        """Serve the manager's sessions, of which one agent may have so many."""
        self._manager, self._sessions, self._most = manager, sessions, most
        self._users: dict[str, AuthenticatedUser] = {}
        self._revived: dict[tuple[str, str], str] = {}
        self._locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)  # by agent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; a session that this kernel does not know is opened again for the client that names it."""
        headers = dict(scope["headers"])
        scope["user"] = self._user(scope[REQUEST].agent_id)  # no agent may enter another's session
        version = headers.get(_VERSION, _UNSAID.encode()).decode("latin-1")
        if _SESSION in headers and version in HANDSHAKE_PROTOCOL_VERSIONS and scope["method"] != "DELETE":
            session_id = await self._session(scope, headers[_SESSION].decode("latin-1"), version)
            kept = [(name, value) for name, value in scope["headers"] if name != _SESSION]
            scope["headers"] = [*kept, (_SESSION, session_id.encode("latin-1"))]
        elif _SESSION not in headers and version in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._make_room(scope[REQUEST].agent_id)
        await self._manager.handle_request(scope, receive, send)

    async def _make_room(self, agent_id: str) -> None:
        """Put away the agent's sessions that were unused the longest, as many as there are too many with one more."""
        open_now = sdk.transports(self._manager)
        named = [open_now.get(session_id) for session_id in self._sessions.of(agent_id)]
        mine = [found for found in named if found and not found.is_terminated]
        mine.sort(key=lambda found: found.idle_scope.deadline if found.idle_scope else 0)
        for found in mine[: max(0, len(mine) + 1 - self._most())]:
            await found.terminate()

    def live(self, agent_id: str, named: str) -> str:
        """Return the id of the open session that serves the client of this one; empty when there is none."""
        open_now = sdk.transports(self._manager)
        for known in (named, self._revived.get((agent_id, named), "")):
            if found := open_now.get(known):
                self._used(found)
                return known
        return ""

    @staticmethod
    def _used(transport: StreamableHTTPServerTransport) -> None:
        """Put off the end of a session which is used, whether or not FastMCP hears of it."""
        now, scope = trio.current_time(), transport.idle_scope
        if scope and scope.deadline < now + UNUSED / 2:  # it has no end while FastMCP serves a request in it
            scope.deadline = now + UNUSED

    async def drop(self, agent_id: str) -> None:
        """End every session of an agent whose CLI is gone: not every CLI does so itself."""
        self._users.pop(agent_id, None)
        self._locks.pop(agent_id, None)
        self._revived = {key: live for key, live in self._revived.items() if key[0] != agent_id}
        for session_id in self._sessions.of(agent_id):
            if found := sdk.transports(self._manager).get(session_id):
                await found.terminate()

    def _user(self, agent_id: str) -> AuthenticatedUser:
        if agent_id not in self._users:
            self._users[agent_id] = AuthenticatedUser(AccessToken(token="", client_id=agent_id, scopes=[]))
        return self._users[agent_id]

    async def _session(self, scope: Scope, named: str, version: str) -> str:
        """Return the id of the live session that serves this one's client; what is named when there can be none."""
        key = (scope[REQUEST].agent_id, named)
        if live := self.live(*key):
            return live
        async with self._locks[key[0]]:  # a client sends several requests at once, and is one client
            if live := self.live(*key):
                return live
            await self._make_room(key[0])
            if not (live := await self._revive(scope, version)):
                return named
            open_now = sdk.transports(self._manager)
            self._revived = {old: new for old, new in self._revived.items() if new in open_now} | {key: live}
            return live

    async def _revive(self, scope: Scope, version: str) -> str:
        """Shake hands with ourselves in the client's name and return the session's id; empty when that failed."""
        client = {"name": "revived", "version": "1"}
        hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
        initialize = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}
        session_id = (await self._post(scope, initialize)).get(_SESSION, b"")
        if session_id:
            await self._post(scope, {"jsonrpc": "2.0", "method": "notifications/initialized"}, (_SESSION, session_id))
        return session_id.decode("latin-1")

    async def _post(self, scope: Scope, message: dict[str, Any], *more: tuple[bytes, bytes]) -> dict[bytes, bytes]:
        """Serve a request of our own in the client's name and return the headers of the answer, none if refused."""
        body, sent = json.dumps(message).encode(), trio.Event()
        answer: dict[bytes, bytes] = {}
        host = [(name, value) for name, value in scope["headers"] if name == _HOST]
        headers = [*host, (b"content-type", _JSON), (b"accept", _JSON + b", text/event-stream"), *more]

        async def receive() -> Message:
            if sent.is_set():
                await trio.sleep_forever()  # the client does not hang up on itself
            sent.set()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                answer.update(message["headers"])

        await self._manager.handle_request({**scope, "method": "POST", "headers": headers}, receive, send)
        return answer
