"""HTTP for the plane: hypercorn's connections behind our own listener, which holds each caller to its share.

The one place that touches names which hypercorn does not promise; a test holds each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from aegis_mcp.auth import PEER, Application, Receive, Scope, Send
from aegis_processes.connections import Connections, Peer, serve_connections

_BACKLOG = 512  # connections that may wait to be accepted: a flood of them must not keep an agent's out
_STUCK = 30.0  # seconds in which a client must read something of its answer


async def serve_http(
    application: Application,
    config: Config,
    listener: trio.SocketListener,
    connections: Connections,
    stop: trio.Event,
    failed: Callable[[Exception], object],
) -> None:
    """Serve until `stop` is set, then let requests end for `config.graceful_timeout`; nothing outlives this."""
    context, state = WorkerContext(None), ConnectionState({})

    async def serve(stream: trio.SocketStream, peer: Peer) -> None:
        async def of_peer(scope: Scope, receive: Receive, send: Send) -> None:
            await application({**scope, PEER: peer}, receive, send)

        wrapped = ASGIWrapper(cast("Any", of_peer))  # hypercorn types each message, we pass them on
        await TCPServer(wrapped, config, context, state, cast("Any", _Stream(stream)))

    async def close_what_is_left() -> None:
        await trio.sleep(config.graceful_timeout)
        connections.close()  # hypercorn shields its writes from cancellation, and a client may never read

    async with trio.open_nursery() as closing:
        async with trio.open_nursery() as serving:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(serve_connections, listener, serve, failed, connections, serving)
                await stop.wait()
                accepting.cancel_scope.cancel()
            await listener.aclose()
            await context.terminated.set()
            closing.start_soon(close_what_is_left)
            serving.cancel_scope.deadline = trio.current_time() + config.graceful_timeout
        closing.cancel_scope.cancel()
    connections.close()


def listener_of(bound: Any) -> trio.SocketListener:
    """Return the socket as a listener."""
    bound.listen(_BACKLOG)
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound))


class _Stream:
    """A connection to which a client that does not read is taken for gone."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream, self.socket = stream, stream.socket
        self.receive_some, self.send_eof, self.aclose = stream.receive_some, stream.send_eof, stream.aclose

    async def send_all(self, data: bytes) -> None:
        """Send all of the data."""
        with trio.move_on_after(_STUCK) as limit:
            await self._stream.send_all(data)
        if limit.cancelled_caught:
            self.socket.close()
            raise trio.BrokenResourceError(f"the client read nothing for {_STUCK:g} s")
