"""The least an MCP server can be: two tools behind a bearer header, so that a driver can be tried without the plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_NO_ARGUMENTS = {"type": "object", "properties": {}}
_SHOUT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
_TOOLS = [
    {"name": "whoami", "description": "Say who calls.", "inputSchema": _NO_ARGUMENTS},
    {"name": "shout", "description": "Say it louder.", "inputSchema": _SHOUT},
]


class Plane(ThreadingHTTPServer):
    """A server on a free loopback port that knows its callers by secret and keeps their calls."""

    daemon_threads = True

    def __init__(self, callers: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.callers = callers
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/mcp"

    def answer(self, who: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of one request; None when there is no such method."""
        if method == "initialize":
            version = params["protocolVersion"]
            server = {"name": "plane", "version": "1"}
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
        if method == "tools/list":
            return {"tools": _TOOLS}
        if method != "tools/call":
            return None
        name, arguments = params["name"], params.get("arguments", {})
        self.calls.append((who, name, arguments))
        words = f"you are {who}" if name == "whoami" else arguments["text"].upper()
        return {"content": [{"type": "text", "text": words}]}


class _Door(BaseHTTPRequestHandler):
    server: Plane

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        who = self.server.callers.get(self.headers.get("authorization", "").removeprefix("Bearer "))
        if who is None:
            return self._reply(401)
        if "id" not in request:
            return self._reply(202)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        result = self.server.answer(who, request["method"], request.get("params", {}))
        missing = {"code": -32601, "message": f"no method {request['method']}"}
        self._reply(200, answer | ({"error": missing} if result is None else {"result": result}))

    def do_GET(self) -> None:
        self._reply(405)

    do_DELETE = do_GET

    def _reply(self, status: int, value: Any = None) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def plane(**callers: str) -> Iterator[Plane]:
    """Run a plane for these callers, given as name=secret; leaving ends it."""
    server = Plane({secret: name for name, secret in callers.items()})
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
