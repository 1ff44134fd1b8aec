"""A small MCP client over HTTP, for fakes: it shakes hands, lists tools, calls them. Standard library only."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

PROTOCOL = "2025-06-18"


class McpError(Exception):
    """The server did not do what was asked; `status` is the HTTP status, 0 when there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class McpClient:
    """One session with one server; a session that the server has forgotten is begun again."""

    def __init__(self, url: str, headers: Mapping[str, str], *, name: str = "aegis-fake") -> None:
        self._url = urlsplit(url)
        self._given, self._name = dict(headers), name
        self._session: dict[str, str] = {}
        self._numbers = count(1)
        self._connection: http.client.HTTPConnection | None = None
        self.instructions = ""

    def connect(self) -> None:
        """Shake hands; raises `McpError`."""
        self._session = {}
        who = {"name": self._name, "version": "1"}
        hello = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": who}
        welcome = self._request("initialize", hello)
        self.instructions = str(welcome.get("instructions") or "")
        self._session["MCP-Protocol-Version"] = str(welcome.get("protocolVersion", PROTOCOL))
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def tools(self) -> list[dict[str, Any]]:
        """Return the tools the server offers to this caller; raises `McpError`."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {}
        while True:
            answer = self._again("tools/list", page)
            found += answer.get("tools", [])
            if not answer.get("nextCursor"):
                return found
            page = {"cursor": answer["nextCursor"]}

    def call(self, tool: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Return what the tool answered as text, and whether that is an error; raises `McpError`."""
        number = f"progress-{next(self._numbers)}"
        asked = {"name": tool, "arguments": dict(arguments), "_meta": {"progressToken": number}}
        answer = self._again("tools/call", asked)
        words = [part.get("text", f"[{part.get('type')}]") for part in answer.get("content", [])]
        return "\n".join(words), bool(answer.get("isError"))

    def drop(self) -> None:
        """Break off the request that another thread waits for."""
        if self._connection and self._connection.sock:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _again(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if not self._session:
            self.connect()
        try:
            return self._request(method, params)
        except McpError as error:
            if error.status != 404:  # the protocol's word for a session that is not known (any more)
                raise
        self.connect()
        return self._request(method, params)

    def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        for message in self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params}):
            if isinstance(message, dict) and message.get("id") == number:
                if "error" in message:
                    raise McpError(str(message["error"].get("message", message["error"])))
                result = message.get("result")
                return result if isinstance(result, dict) else {}
        raise McpError(f"the server did not answer {method}")

    def _post(self, message: dict[str, Any]) -> list[Any]:
        """Send one message and return what comes back, up to the answer."""
        assert self._url.hostname
        connection = self._connection = http.client.HTTPConnection(self._url.hostname, self._url.port or 80)
        body = json.dumps(message).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        try:
            connection.request("POST", self._url.path or "/", body, headers | self._given | self._session)
            answer = connection.getresponse()
            if answer.status >= 400:
                words = answer.read(2_000).decode(errors="replace").strip()
                raise McpError(f"the server answered {answer.status} {answer.reason}: {words}", answer.status)
            if session := answer.headers.get("mcp-session-id"):
                self._session["mcp-session-id"] = session
            if "text/event-stream" in answer.headers.get("content-type", ""):
                return list(_until(message.get("id"), _events(answer)))
            data = answer.read()
            return [json.loads(data)] if data.strip() else []
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            # AttributeError: http.client, when `drop` closed the connection under it
            raise McpError(f"the server at {self._url.netloc} cannot be reached: {error}") from None
        finally:
            connection.close()
            self._connection = None


def _events(answer: http.client.HTTPResponse) -> Iterator[Any]:
    data: list[str] = []
    for raw in answer:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line.startswith("data:"):
            data.append(line[5:].lstrip())
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []


def _until(number: Any, messages: Iterator[Any]) -> Iterator[Any]:
    for message in messages:
        yield message
        if isinstance(message, dict) and message.get("id") == number and "method" not in message:
            return
