"""Authentication: whose request this is, which requests are refused, and what happens when a client disconnects.

An ASGI application around the MCP transport. A request carries its agent's secret in the header or, from a CLI that
can send none, in the path `/mcp/SECRET`; anything else is refused and counted, and reaches nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from aegis_mcp.calls import AgentRequest
from aegis_mcp.secrets import Secrets

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/mcp"
REQUEST = "aegis.request"  # the key of the `AgentRequest` in the ASGI scope
SECRET, CLOSED, HOST, ORIGIN = "secret", "closed agent", "host", "origin"
_STATUS = {SECRET: 401, CLOSED: 401, HOST: 421, ORIGIN: 403}
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
        refused: Counter[str],
    ) -> None:  # fmt: skip
        self._inside, self._secrets, self._alive, self._arrived, self.refused = inside, secrets, alive, arrived, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
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
        self._arrived(agent_id)
        request = AgentRequest(agent_id)
        kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        within = {**scope, "path": PATH, "raw_path": PATH.encode(), "headers": kept, REQUEST: request}

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                request.disconnected()  # also comes after the answer, when nothing is left to cancel
            return message

        try:
            await self._inside(within, watched, send)
        finally:
            request.over.set()

    @staticmethod
    def _foreign(headers: dict[bytes, bytes]) -> str:
        if not is_loopback("//" + headers.get(b"host", b"").decode("latin-1")):
            return HOST
        origin = headers.get(b"origin")
        return ORIGIN if origin is not None and not is_loopback(origin.decode("latin-1")) else ""

    async def _refuse(self, send: Send, why: str) -> None:
        self.refused[why] += 1
        await _answer(send, _STATUS[why], f"refused: {why}")


def _bearer(headers: dict[bytes, bytes]) -> str:
    kind, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def _answer(send: Send, status: int, text: str) -> None:
    body = f'{{"error": "{text}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
