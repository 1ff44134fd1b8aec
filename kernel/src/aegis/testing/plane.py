"""The least MCP server that knows its callers by secret: what an agent's CLI is told about when no plane is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread  # noqa: TID251 - a server beside the test's trio run, ended with it
from typing import Any

from aegis.driver import McpServer

TOOLS: list[dict[str, Any]] = [
    {
        "name": "whoami",
        "description": "Say who calls.",
        "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": True},
    },
]


class Plane(ThreadingHTTPServer):
    """Serves on a free port of the loopback; `calls` are (caller, tool, arguments)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.callers: dict[str, str] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self._knowing: set[str] = set()  # who has asked for the tools
        self._news = Condition()

    def known_to(self, *callers: str, within: float = 10) -> bool:
        """Wait until these callers' CLIs have asked for the tools, and return whether they did in so many seconds."""
        with self._news:
            return self._news.wait_for(lambda: self._knowing.issuperset(callers), within)

    def server(self, caller: str, secret: str, name: str = "aegis") -> McpServer:
        """Return how this caller's CLI reaches the plane."""
        self.callers[secret] = caller
        return McpServer(name, f"http://127.0.0.1:{self.server_port}/mcp", {"Authorization": f"Bearer {secret}"})

    def answer(self, caller: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of a request, None when there is no such method."""
        if method == "initialize":
            hello = {"capabilities": {"tools": {}}, "serverInfo": {"name": "plane", "version": "1"}}
            return {"protocolVersion": params["protocolVersion"], **hello}
        if method == "tools/list":
            with self._news:
                self._knowing.add(caller)
                self._news.notify_all()
            return {"tools": TOOLS}
        if method != "tools/call":
            return None
        self.calls.append((caller, params["name"], params.get("arguments", {})))
        return {"content": [{"type": "text", "text": f"you are {caller}"}]}


class _Handler(BaseHTTPRequestHandler):
    server: Plane

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        caller = self.server.callers.get(self.headers.get("authorization", "").removeprefix("Bearer "))
        if caller is None:
            return self._reply(401)
        if "id" not in request:
            return self._reply(202)
        result = self.server.answer(caller, request["method"], request.get("params", {}))
        missing = {"error": {"code": -32601, "message": f"no method {request['method']}"}}
        self._reply(200, {"jsonrpc": "2.0", "id": request["id"]} | (missing if result is None else {"result": result}))

    def do_GET(self) -> None:
        self._reply(405)

    do_DELETE = do_GET  # noqa: N815

    def _reply(self, status: int, value: Any = None) -> None:
        data = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Plane]:
    """Run a plane; leaving ends it."""
    plane = Plane()
    thread = Thread(target=plane.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield plane
    finally:
        plane.shutdown()
        plane.server_close()
        thread.join()
