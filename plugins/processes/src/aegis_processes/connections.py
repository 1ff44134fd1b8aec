"""Connections that are served side by side: what goes wrong in one ends that one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from aegis_processes.cancellation import root_cause

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


async def serve_connections(
    listener: trio.SocketListener,
    serve: Callable[[trio.SocketStream], Awaitable[None]],
    failed: Callable[[Exception], object],
) -> None:
    """Serve each connection until cancelled; one that fails is closed, and `failed` is told unless the peer hung up."""

    async def alone(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await serve(stream)
        except Exception as error:  # noqa: BLE001 - a connection must not end the others, nor whoever listens
            if not isinstance(cause := root_cause(error), GONE):
                failed(cause if isinstance(cause, Exception) else error)

    await trio.serve_listeners(alone, [listener])
