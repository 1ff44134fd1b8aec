"""The control socket: the client protocol of `frontend.Client` across processes, for this user only."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from aegis.callers import Caller
from aegis.errors import AegisError
from aegis.processes import Command
from aegis.verb_definition import plain
from aegis.verbs import progress
from aegis_cli.lines import line_reader, line_writer
from aegis_cli.local import LocalClient, sentence
from aegis_cli.socket_path import socket_of
from aegis_jsonrpc.connection import INVALID, NO_METHOD, Connection, RpcError

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


def listening(path: str) -> socket.socket:
    """Return a socket that listens at this path and that only this user may open."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # nothing else runs until it is set back: there is no checkpoint in between
    try:
        made.bind(path)
    finally:
        os.umask(mask)
    made.listen(64)
    return made


class ControlSocket:
    """Serves every shell, REPL and script of the user who runs the kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.name = "control"
        self._kernel = kernel
        self.refused = 0

    async def run(self, started: trio.Event) -> None:
        """Listen until cancelled; the socket file is gone afterwards."""
        path = socket_of(self._kernel.project)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.chmod(0o700)  # fails when the folder is another user's
        except OSError as error:
            raise AegisError(f"cannot keep the control socket in {path.parent}: {error}") from None
        path.unlink(missing_ok=True)  # the project's lock is ours, so nobody listens there any more
        with trio.socket.from_stdlib_socket(listening(str(path))) as listener:
            started.set()
            try:
                await trio.serve_listeners(self._serve, [trio.SocketListener(listener)])
            finally:
                path.unlink(missing_ok=True)

    async def _serve(self, stream: trio.SocketStream) -> None:
        uid = peer_uid(stream.socket)  # type: ignore[arg-type]
        async with stream:
            if uid != os.getuid():
                self.refused += 1
                return
            async with trio.open_nursery() as nursery:
                peer = _Connection(self._kernel, Caller("human", user_name(uid)), nursery)
                peer.connection = Connection(line_reader(stream), line_writer(stream), peer.handle)
                await peer.connection.run()
                nursery.cancel_scope.cancel()


class _Connection:
    connection: Connection

    def __init__(self, kernel: Kernel, caller: Caller, nursery: trio.Nursery) -> None:
        self._kernel, self._caller, self._nursery = kernel, caller, nursery
        self._client = LocalClient(kernel, caller)
        self._watching = False
        self._progress: deque[dict[str, Any]] = deque()
        self._speaking = trio.Lock()

    async def handle(self, method: str, params: Any) -> Any:
        arguments = params if isinstance(params, dict) else {}
        try:
            return await self._answer(method, arguments)
        except RpcError:
            raise
        except AegisError as error:
            data = {"type": type(error).__name__, "exit_code": error.exit_code, "data": plain(error.data)}
            raise RpcError(INVALID, str(error), data) from error

    async def _answer(self, method: str, arguments: dict[str, Any]) -> Any:
        match method:
            case "hello":
                return {"protocol": PROTOCOL, "pid": os.getpid(), "root": str(self._kernel.project.root)}
            case "call" | "perform":
                name, args = str(arguments.get("verb")), arguments.get("args") or {}
                with progress(partial(self._report, arguments.get("call"))):
                    value = await self._kernel.verbs.call(self._caller, name, args)
                await self._say_progress()
                return plain(value) if method == "call" else performed(value)
            case "verbs":
                return await self._client.verbs()
            case "complete":
                return await self._client.complete(str(arguments.get("what")))
            case "snapshot":
                return await self._client.snapshot()
            case "plugins":
                return plain(self._kernel.plugins.report())
            case "watch":
                if not self._watching:
                    self._watching = True
                    await self._nursery.start(self._watch)
                return True
            case "quit":
                self._kernel.quit.set()
                return True
        raise RpcError(NO_METHOD, f"there is no method {method!r}")

    def _report(self, call: Any, text: str) -> None:
        self._progress.append({"call": call, "text": text})
        self._nursery.start_soon(self._say_progress)

    async def _say_progress(self) -> None:
        async with self._speaking:  # in order, and all of it before the answer
            while self._progress:
                await self._tell("progress", self._progress.popleft())

    async def _tell(self, method: str, params: Any) -> None:
        with suppress(RpcError):  # it hung up: its connection is ending, the others' are not
            await self.connection.notify(method, params)

    async def _watch(self, task_status: trio.TaskStatus[None]) -> None:
        with self._kernel.bus.subscribe() as news:
            task_status.started()
            async for batches in news:
                rows = [[b.agent_id, [msgspec.Raw(msgspec.json.encode(e)) for e in b.events]] for b in batches]
                await self._tell("events", rows)


def performed(value: Any) -> dict[str, Any]:
    """Return a verb's value as a shell wants it; one that is a `Command` is for the person's own terminal."""
    answer = {"value": plain(value), "text": sentence(value)}
    return answer | {"command": value.argv} if isinstance(value, Command) else answer
