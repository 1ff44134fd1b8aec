"""The control socket: the client protocol of `frontend.Client` across processes, for this user only."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from aegis.callers import Caller
from aegis.client import LocalClient
from aegis.errors import AegisError
from aegis.rpc import INVALID, NO_METHOD, Connection, RpcError, line_reader, line_writer
from aegis.verbs import progress

if TYPE_CHECKING:
    from aegis.app import Kernel

PROTOCOL = 1


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a unix socket."""
    if hasattr(socket, "SO_PEERCRED"):
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", data)[1])
    data = connection.getsockopt(0, 1, 76)  # macOS: SOL_LOCAL, LOCAL_PEERCRED, struct xucred
    return int(struct.unpack_from("=II", data)[1])


def user_name(uid: int) -> str:
    """Return the login name of a user id."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class Control:
    """Serves every shell, REPL and script of the user who runs the kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.name = "control"
        self._kernel = kernel
        self.refused = 0

    async def run(self, started: trio.Event) -> None:
        """Listen until cancelled; the socket file is gone afterwards."""
        path = self._kernel.project.socket
        path.unlink(missing_ok=True)
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            mask = os.umask(0o177)
            try:
                await listening.bind(str(path))
            finally:
                os.umask(mask)
            listening.listen(64)
            try:
                async with trio.open_nursery() as nursery:
                    started.set()
                    while True:
                        connection, _ = await listening.accept()
                        nursery.start_soon(self._serve, trio.SocketStream(connection))
            finally:
                path.unlink(missing_ok=True)

    async def _serve(self, stream: trio.SocketStream) -> None:
        uid = peer_uid(stream.socket)  # type: ignore[arg-type]
        async with stream:
            if uid != os.getuid():
                self.refused += 1
                return
            async with trio.open_nursery() as nursery:
                peer = _Peer(self._kernel, Caller("human", user_name(uid)), nursery)
                peer.connection = Connection(line_reader(stream), line_writer(stream), peer.handle)
                await peer.connection.run()
                nursery.cancel_scope.cancel()


class _Peer:
    connection: Connection

    def __init__(self, kernel: Kernel, caller: Caller, nursery: trio.Nursery) -> None:
        self._kernel, self._nursery = kernel, nursery
        self._client = LocalClient(kernel, caller)
        self._watching = False

    async def handle(self, method: str, params: Any) -> Any:
        arguments = params if isinstance(params, dict) else {}
        try:
            match method:
                case "hello":
                    return {"protocol": PROTOCOL, "pid": os.getpid(), "root": str(self._kernel.project.root)}
                case "call":
                    with progress(self._report):
                        return await self._client.call(str(arguments.get("verb")), arguments.get("args") or {})
                case "verbs":
                    return await self._client.verbs()
                case "complete":
                    return await self._client.complete(str(arguments.get("what")))
                case "snapshot":
                    return await self._client.snapshot()
                case "watch":
                    if not self._watching:
                        self._watching = True
                        await self._nursery.start(self._watch)
                    return True
                case "quit":
                    self._kernel.quit.set()
                    return True
            raise RpcError(NO_METHOD, f"there is no method {method!r}")
        except AegisError as error:
            if isinstance(error, RpcError):
                raise
            data = {"type": type(error).__name__, "exit_code": error.exit_code}
            raise RpcError(INVALID, str(error), data) from error

    def _report(self, text: str) -> None:
        self._nursery.start_soon(self.connection.notify, "progress", {"text": text})

    async def _watch(self, task_status: trio.TaskStatus[None]) -> None:
        with self._kernel.bus.subscribe() as news:
            task_status.started()
            async for batches in news:
                rows = [[b.agent_id, [msgspec.Raw(msgspec.json.encode(e)) for e in b.events]] for b in batches]
                await self.connection.notify("events", rows)
