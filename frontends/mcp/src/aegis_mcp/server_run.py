"""One run of the plane's server: FastMCP behind the check of secrets, in the kernel's own nursery."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from aegis_mcp import sdk
from aegis_mcp.auth import Auth
from aegis_mcp.calls import Calls
from aegis_mcp.direct import Direct
from aegis_mcp.http_server import listener_of, serve_http
from aegis_mcp.server import PlaneServer
from aegis_mcp.sessions import Sessions
from aegis_mcp.tools import Tools
from aegis_mcp.transport import UNUSED, Transport
from aegis_processes.connections import Connections

if TYPE_CHECKING:
    from aegis_mcp.service import Plane

_GRACE = 0.2  # seconds for connections to end by themselves once everything was answered
_LIBRARIES = ("mcp", "fastmcp", "FastMCP")


class ServerRun:
    """The server from the open port to the last answer."""

    def __init__(self, plane: Plane, calls: Calls) -> None:
        kernel = plane.kernel
        self.calls, self.tools, self.sessions = calls, Tools(kernel.verbs), Sessions()
        self.server = PlaneServer(plane, calls, self.tools, self.sessions)
        # A session ends with its agent's CLI. One that is not used is put away before, and revived if it is used again.
        self.manager = StreamableHTTPSessionManager(
            sdk.lowlevel(self.server), session_idle_timeout=UNUSED, max_request_body_size=2**31
        )
        self.transport = Transport(self.manager, self.sessions, lambda: plane.settings.max_connections)
        self.direct = Direct(self.transport, self.server, self.sessions, self.transport.live)
        self.auth = Auth(
            self.direct, plane.secrets, lambda a: bool(kernel.roster.get(a)), plane.presence.arrived, plane.refused,
            lambda: plane.settings,
        )  # fmt: skip
        self.failed = partial(plane.fault, "plane")

    async def close(self) -> None:
        """Answer what runs, and send every client a last word."""
        await self.calls.drain()
        self.sessions.close()


async def serve_until(stop: trio.Event, plane: Plane, bound: socket.socket) -> None:
    """Serve the plane at the socket until `stop` is set, whatever else is cancelled meanwhile."""
    with trio.CancelScope(shield=True), quiet(plane.fault):
        async with trio.open_nursery() as working:
            run = ServerRun(plane, Calls(working, plane.fault))
            listener = listener_of(bound)
            connections = Connections(plane.limits)
            async with run.manager.run(), trio.open_nursery() as serving:
                serving.start_soon(serve_http, run.auth, listener, connections, stop, run.failed, _GRACE)
                plane.opened(run)


class _Faults(logging.Handler):
    def __init__(self, fault: Callable[[str, BaseException], None]) -> None:
        super().__init__(logging.ERROR)
        self._fault = fault

    def emit(self, record: logging.LogRecord) -> None:
        if trio.lowlevel.in_trio_run():
            error = record.exc_info[1] if record.exc_info else None
            self._fault("plane", error or RuntimeError(record.getMessage()))


@contextmanager
def quiet(fault: Callable[[str, BaseException], None]) -> Iterator[None]:
    """Keep the libraries' logs off the terminal meanwhile; their errors are faults like any other."""
    handler = _Faults(fault)
    before = [(logger, logger.handlers, logger.propagate) for logger in map(logging.getLogger, _LIBRARIES)]
    for logger, _, _ in before:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
