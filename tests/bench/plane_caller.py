"""An agent's MCP client, as light as it can be: one connection that is kept, and calls without a handshake."""

from __future__ import annotations

import json
import socket
from typing import Any

import trio

VERSION = {"legacy": "2025-11-25", "modern": "2026-07-28"}
_CLIENT = {"name": "bench", "version": "1"}
_PREFIX = "io.modelcontextprotocol/"


class PlaneCaller:
    """One keep-alive connection of an agent."""

    def __init__(self, url: str, secret: str, era: str = "modern") -> None:
        host, _, self._path = url.removeprefix("http://").partition("/")
        self._host, self._era, self._secret, self._session = host, era, secret, ""
        name, _, port = host.partition(":")
        made = socket.create_connection((name, int(port)))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(made))

    async def hello(self) -> None:
        """Shake hands, in the era that does."""
        if self._era == "legacy":
            hello = {"protocolVersion": VERSION["legacy"], "capabilities": {}, "clientInfo": _CLIENT}
            head, _ = await self._ask({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
            self._session = head.lower().split("mcp-session-id: ")[1].split("\r\n")[0]
            await self._ask({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def call(self, tool: str, /, **arguments: Any) -> bytes:
        """Call the tool, see that it worked, and return what was answered."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if self._era == "modern":
            params["_meta"] = {
                f"{_PREFIX}protocolVersion": VERSION["modern"],
                f"{_PREFIX}clientCapabilities": {},
                f"{_PREFIX}clientInfo": _CLIENT,
            }
        head, body = await self._ask({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        assert " 200 " in head and b'"result"' in body and b'"isError":true' not in body, (head, body)
        return body

    async def _ask(self, message: dict[str, Any]) -> tuple[str, bytes]:
        body = json.dumps(message).encode()
        lines = [
            f"POST /{self._path} HTTP/1.1",
            f"host: {self._host}",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
            f"content-length: {len(body)}",
            f"mcp-protocol-version: {VERSION[self._era]}",
        ]
        lines += [f"mcp-session-id: {self._session}"] if self._session else []
        lines += [f"authorization: Bearer {self._secret}"] if self._secret else []
        if self._era == "modern":
            lines += [f"mcp-method: {message['method']}"]
            lines += [f"mcp-name: {message['params']['name']}"] if message["method"] == "tools/call" else []
        await self._stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._stream.receive_some(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        text = head.decode().lower()
        if "transfer-encoding: chunked" in text:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += await self._stream.receive_some(65536)
        elif "content-length: " in text:
            size = int(text.split("content-length: ")[1].split("\r\n")[0])
            while len(rest) < size:
                rest += await self._stream.receive_some(65536)
        return head.decode(), rest
