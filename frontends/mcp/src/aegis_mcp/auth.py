"""Authentication: whose request this is, which requests are refused, and what happens when a client disconnects.

An ASGI application around the MCP transport. A request carries its agent's secret in the header or, from a CLI that
can send none, in the path `/mcp/SECRET`; anything else is refused and counted, and reaches nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import trio

from aegis_mcp.calls import AgentRequest
from aegis_mcp.secret_store import Secrets
from aegis_mcp.settings import PlaneSettings
from aegis_processes.connections import Peer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/mcp"
REQUEST, PEER = "aegis.request", "aegis.peer"  # keys of the ASGI scope: an `AgentRequest`, the connection
TOGETHER = "aegis.together"  # in the start of an answer: its body follows at once, so both can be sent as one
SECRET, CLOSED, HOST, ORIGIN, MANY, SLOW, LARGE = (
    "secret", "closed agent", "host", "origin", "too many connections", "slow body", "large body",
)  # fmt: skip
_STATUS = {SECRET: 401, CLOSED: 401, HOST: 421, ORIGIN: 403, MANY: 429, SLOW: 408, LARGE: 413}
_BODIES = 4  # times the largest body: what the bodies of one agent's requests may have that are not over
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(url: str) -> bool:
    """Return whether this Origin (or `//` and a Host) is of this machine."""
    try:
        return urlsplit(url).hostname in _LOOPBACK
    except ValueError:
        return False


class Auth:
    """Lets live agents in."""

    def __init__(
        self, inside: Application, secrets: Secrets, alive: Callable[[str], bool], arrived: Callable[[str], None],
        refused: Counter[str], settings: Callable[[], PlaneSettings],
    ) -> None:  # fmt: skip
        self._inside, self._secrets, self._alive, self._arrived, self.refused = inside, secrets, alive, arrived, refused
        self._settings, self._bodies = settings, Counter[str]()  # bytes of the bodies of requests that are not over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        if why := self._foreign(headers):
            return await self._refuse(send, why)
        path = scope["path"].rstrip("/")
        if path != PATH and not path.startswith(PATH + "/"):
            return await _answer(send, 404, "nothing here")
        agent_id = self._secrets.owner(path[len(PATH) + 1 :] or _bearer(headers))
        if agent_id is None:
            return await self._refuse(send, SECRET)
        if not self._alive(agent_id):
            return await self._refuse(send, CLOSED)
        peer: Peer = scope[PEER]
        if not peer.known(agent_id):
            return await self._refuse(send, MANY, self._told(MANY))
        peer.busy += 1
        try:
            await self._serve(agent_id, scope, receive, send)
        finally:
            peer.busy -= 1

    async def _serve(self, agent_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._arrived(agent_id)
        request, read = AgentRequest(agent_id), False
        kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        within = {**scope, "path": PATH, "raw_path": PATH.encode(), "headers": kept, REQUEST: request}

        async def watched() -> Message:
            nonlocal read
            if not read:
                read = True
                return {"type": "http.request", "body": request.body, "more_body": False}
            message = await receive()
            if message["type"] == "http.disconnect":
                request.disconnected()  # also comes after the answer, when nothing is left to cancel
            return message

        try:
            if why := await self._read(request, receive):
                return await self._refuse(send, why, self._told(why))
            await self._inside(within, watched, send)
        finally:
            request.over.set()
            self._bodies[agent_id] -= request.size
            if not self._bodies[agent_id]:
                del self._bodies[agent_id]

    async def _read(self, request: AgentRequest, receive: Receive) -> str:
        """Take in the body, which is there in time and is counted until the request is over; else say why not."""
        settings, parts, more = self._settings(), list[bytes](), True
        with trio.move_on_after(settings.body_within):
            while more:
                message = await receive()
                parts.append(part := message.get("body", b""))
                request.size += len(part)
                self._bodies[request.agent_id] += len(part)
                if request.size > settings.max_body or self._bodies[request.agent_id] > _BODIES * settings.max_body:
                    return LARGE
                more = message.get("more_body", False)
            request.body = b"".join(parts)
            return ""
        return SLOW

    def _told(self, why: str) -> str:
        """Return why in words, with the setting that says so."""
        now = self._settings()
        return {
            MANY: f"an agent has at most {now.max_connections:,} connections at once (plugins.mcp.max_connections)",
            SLOW: f"a body must arrive within {now.body_within:g} s (plugins.mcp.body_within)",
            LARGE: f"a body has at most {now.max_body:,} bytes, those of all requests at once {_BODIES} times that "
            "(plugins.mcp.max_body)",
        }[why]

    @staticmethod
    def _foreign(headers: dict[bytes, bytes]) -> str:
        if not is_loopback("//" + headers.get(b"host", b"").decode("latin-1")):
            return HOST
        origin = headers.get(b"origin")
        return ORIGIN if origin is not None and not is_loopback(origin.decode("latin-1")) else ""

    async def _refuse(self, send: Send, why: str, words: str = "") -> None:
        self.refused[why] += 1
        await _answer(send, _STATUS[why], f"refused: {words or why}")


def _bearer(headers: dict[bytes, bytes]) -> str:
    kind, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def _answer(send: Send, status: int, text: str) -> None:
    body = f'{{"error": "{text}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status in (408, 413):  # more of the body would have come
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers, TOGETHER: True})
    await send({"type": "http.response.body", "body": body})
