"""The socket to which a person's own terminal connects: one line that names a terminal, then keys and sizes."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from aegis import AegisError
from aegis_private.peers import peer
from aegis_processes.ancestry import Gone
from aegis_processes.connections import GONE, Peer, serve_connections
from aegis_terminal.attach_protocol import HEAD, KEYS, RESIZE, WINDOW
from aegis_terminal.terminal import Terminal

if TYPE_CHECKING:
    from aegis_terminal.service import TerminalService

_WAITING = 1024  # pieces of output that may wait for a slow viewer; then it gets the whole screen again
_LONGEST = 65_536


class AttachServer:
    """Accepts connections of this user's terminals."""

    def __init__(self, service: TerminalService, listener: socket.socket) -> None:
        self._service, self._listener = service, listener

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Listen until cancelled; the folder is private, and the user of each connection is checked."""
        with trio.socket.from_stdlib_socket(self._listener) as listener:
            task_status.started()
            await serve_connections(trio.SocketListener(listener), self._serve, self._failed)

    def _failed(self, error: Exception) -> None:
        self._service.fault("attach", repr(error))

    async def _serve(self, stream: trio.SocketStream, place: Peer) -> None:
        other = peer(stream.socket)
        if not other.is_me:
            return
        reader = Reader(stream)
        try:
            try:
                wanted = _wanted(await reader.line())
                if await self._service.agent_at(other.pid):
                    raise AegisError("a terminal is attached by people; agents use `term run` and `term keys`")
                terminal = await self._service.terminal(wanted)
            except AegisError as error:
                await stream.send_all(json.dumps({"error": str(error)}).encode() + b"\n")
                return
        except (ValueError, Gone):  # it ended before its first line did
            return
        place.busy = 1
        if not place.known("viewers"):
            await stream.send_all(b'{"error": "too many terminals are attached"}\n')
            return
        await stream.send_all(b"{}\n")
        await Attachment(terminal, stream, reader).run()


def _wanted(line: bytes) -> str:
    try:
        wanted = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AegisError(f"this is no request for a terminal: {str(error)[:200]}") from None
    name = wanted.get("terminal") if isinstance(wanted, dict) else None
    if not isinstance(name, str):
        raise AegisError('this is no request for a terminal: it is one line, {"terminal": NAME}')
    return name


class Reader:
    """Whole lines and messages out of a stream."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream, self._rest = stream, b""

    async def line(self) -> bytes:
        """Return the next line; raises `ValueError` at the end."""
        while b"\n" not in self._rest:
            await self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def piece(self) -> tuple[bytes, bytes]:
        """Return the next message, its kind and its data; raises `ValueError` at the end."""
        kind, size = HEAD.unpack(await self._exactly(HEAD.size))
        if size > _LONGEST:
            raise ValueError(f"{size} bytes at once")
        return kind, await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            await self._more()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def _more(self) -> None:
        chunk = await self._stream.receive_some(_LONGEST)
        if not chunk or len(self._rest) > 2 * _LONGEST:
            raise ValueError("the connection ended")
        self._rest += chunk


class Attachment:
    """A person's terminal that is attached to a shared one."""

    def __init__(self, terminal: Terminal, stream: trio.SocketStream, reader: Reader) -> None:
        self._terminal, self._stream, self._reader = terminal, stream, reader
        self._put, self._get = trio.open_memory_channel[bytes](_WAITING)
        self._missed = False

    async def run(self) -> None:
        """Send the screen and new output, take keys, until either side ends it."""
        self._terminal.display.viewers.add(self._see)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, nursery)
                await self._stream.send_all(await self._screen())
                while data := await self._get.receive():
                    if self._missed:
                        self._missed, data = False, await self._screen()
                    await self._stream.send_all(data)
                nursery.cancel_scope.cancel()
        finally:
            self._terminal.display.viewers.discard(self._see)
            self._terminal.display.forget(self)

    def _see(self, data: bytes) -> None:
        try:
            self._put.send_nowait(data)
        except trio.WouldBlock:
            self._missed = True

    async def _screen(self) -> bytes:
        look = await self._terminal.display.look()
        lines = "\r\n".join(look.lines).rstrip("\r\n")
        begin = "\x1b[?1049h" if look.whole else ""
        return f"{begin}\x1b[2J\x1b[H{lines}\x1b[{look.row + 1};{look.column + 1}H".encode()

    async def _listen(self, nursery: trio.Nursery) -> None:
        with suppress(ValueError, struct.error, *GONE):
            while True:
                kind, data = await self._reader.piece()
                if kind == RESIZE:
                    self._terminal.display.resize_for(self, *WINDOW.unpack(data))
                elif kind == KEYS:
                    self._terminal.typist = ""
                    with suppress(AegisError):  # the program there does not read
                        await self._terminal.type(data)
        nursery.cancel_scope.cancel()
