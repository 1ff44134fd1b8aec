"""HTTP for the plane: h11 for the words, one task for each connection, and an ASGI application that answers.

What is here is what clients on this machine need: HTTP/1.1, requests one after the other on a connection that stays.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import h11
import trio

from aegis_mcp.auth import PEER, TOGETHER, Application, Message, Scope
from aegis_processes.connections import GONE, Connections, Peer, serve_connections

_STUCK = 30.0  # seconds in which a client must read something of its answer
_LINGER = 1.0  # seconds in which a client that still sends may read why it should not
_CHUNK, _LONGEST_HEAD = 16_384, 16_384  # bytes; reading them takes 10 ms at worst
_LIGHT = 2_048  # bytes that any connection may have read at any time
_ERROR = [(b"content-length", b"0"), (b"connection", b"close")]


async def serve_http(
    application: Application,
    listener: trio.SocketListener,
    connections: Connections,
    stop: trio.Event,
    failed: Callable[[Exception], object],
    grace: float,
) -> None:
    """Serve until `stop` is set, then let requests end for `grace` seconds; nothing outlives this."""
    idle: set[Peer] = set()
    turn = trio.Lock()

    async def serve(stream: trio.SocketStream, peer: Peer) -> None:
        connection = _Connection(application, stream, peer, turn)
        going_on = True
        while going_on and not stop.is_set():
            idle.add(peer)
            try:
                scope = await connection.next_request()
            finally:
                idle.discard(peer)
            going_on = scope is not None and await connection.answer(scope)
        await connection.part()

    async with trio.open_nursery() as serving:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(serve_connections, listener, serve, failed, connections, serving)
            await stop.wait()
            accepting.cancel_scope.cancel()
        await listener.aclose()
        for peer in list(idle):
            peer.close()
        serving.cancel_scope.deadline = trio.current_time() + grace
    connections.close()


def listener_of(bound: socket.socket) -> trio.SocketListener:
    """Return the socket, which listens, as a listener."""
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound))


class _Connection:
    """One client's connection: requests are read and answered one by one."""

    def __init__(self, application: Application, stream: trio.SocketStream, peer: Peer, turn: trio.Lock) -> None:
        self._application, self._stream, self._peer = application, stream, peer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
        self._server, self._client = stream.socket.getsockname(), stream.socket.getpeername()
        self._head: h11.Response | None = None  # of an answer whose first part is sent with what follows
        self._silent = False  # nothing can be sent any more
        self._method, self._whole, self._over = "", False, trio.Event()  # of the request; its body; its answer
        self._turn = turn

    async def next_request(self) -> Scope | None:
        """Return the next request without its body, None when the client has gone or cannot be understood."""
        size = 0
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    size = await self._read(size)
                else:
                    return self._scope(event) if isinstance(event, h11.Request) else None
        except h11.RemoteProtocolError as error:
            await self._give_up(error.error_status_hint)
            return None

    async def _read(self, before: int = 0) -> int:
        """Read more; return how much there is now, with what was there before.

        What takes long to understand is understood in turn, so that all connections together hold nobody up.
        """
        data = await self._stream.receive_some(_CHUNK)
        size = before + len(data)
        if size > _LIGHT:
            async with self._turn:
                await trio.lowlevel.checkpoint()
        self._http.receive_data(data)
        return size

    def _scope(self, request: h11.Request) -> Scope:
        self._method, self._whole, self._over = request.method.decode(), False, trio.Event()
        path, _, query = request.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": request.http_version.decode(),
            "method": self._method,
            "scheme": "http",
            "path": unquote(path.decode()),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "server": self._server,
            "client": self._client,
            PEER: self._peer,
        }

    async def answer(self, scope: Scope) -> bool:
        """Have the application answer; return whether another request may follow."""
        try:
            await self._application(scope, self._receive, self._send)
        except h11.RemoteProtocolError as error:  # the body is not what HTTP has
            await self._give_up(error.error_status_hint)
            return False
        except Exception:
            await self._give_up(500)
            raise
        finally:
            self._over.set()
        if not self._silent and self._http.our_state is h11.DONE and self._http.their_state is h11.SEND_BODY:
            await self._pass_over()
        if self._silent or not self._http.our_state is self._http.their_state is h11.DONE:
            return False
        self._http.start_next_cycle()
        if self._http.trailing_data[0]:  # no waiting for the client: others have their turn nevertheless
            await trio.lowlevel.checkpoint()
        return True

    async def _pass_over(self) -> None:
        """Read the rest of a body for which the application did not ask, unless that is much or slow."""
        left = 4 * _CHUNK
        with suppress(*GONE, h11.RemoteProtocolError), trio.move_on_after(_LINGER):
            while self._http.their_state is h11.SEND_BODY and left > 0:
                if self._http.next_event() is h11.NEED_DATA:
                    left -= await self._read()

    async def part(self) -> None:
        """End the connection in such a way that a client which is still sending can read its answer."""
        with suppress(*GONE), trio.move_on_after(_LINGER):
            await self._stream.send_eof()
            while await self._stream.receive_some(_CHUNK):
                pass

    async def _give_up(self, status: int) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._write(h11.Response(status_code=status, headers=_ERROR), h11.EndOfMessage())

    # -- what the application calls -----------------------------------------------------------------------------

    async def _receive(self) -> Message:
        """Return the next part of the body; after the last, wait until the client has gone or the answer is over."""
        if self._whole:
            await self._gone()
            return {"type": "http.disconnect"}
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if body:
                    return {"type": "http.request", "body": body, "more_body": True}
                if self._http.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                await self._read()
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                self._whole = True
                return {"type": "http.request", "body": body, "more_body": False}

    async def _gone(self) -> None:
        """Wait until the client has gone or the answer is over; what it sends meanwhile is of its next request."""
        while not (self._silent or self._over.is_set()):
            if len(self._http.trailing_data[0]) >= _CHUNK:  # whoever sends that much is heard when this one is over
                await self._over.wait()
                return
            try:
                early = await self._stream.receive_some(_CHUNK)
            except GONE:
                return
            self._http.receive_data(early)
            if not early:
                return

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer; nothing happens when the client has gone."""
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"date", _date(int(time.time())))]
            head = h11.Response(status_code=message["status"], headers=headers)
            if message.get(TOGETHER):
                self._head = head
            else:
                await self._write(head)
        else:
            events: list[h11.Event] = [self._head] if self._head else []
            self._head = None
            if (body := message.get("body")) and self._method != "HEAD":
                events.append(h11.Data(data=body))
            if not message.get("more_body"):
                events.append(h11.EndOfMessage())
                self._over.set()
            await self._write(*events)

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join([self._http.send(event) or b"" for event in events])
        if self._silent:
            return
        with suppress(OSError):  # what there is room for is written at once; what cannot be is told below
            data = data[os.write(self._stream.socket.fileno(), data) :]
        if not data:
            return
        sent = False
        try:
            with suppress(*GONE), trio.move_on_after(_STUCK):
                await self._stream.send_all(data)
                sent = True
        finally:
            if not sent:  # nothing can follow a part
                self._silent = True
                self._stream.socket.close()


@lru_cache(1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
