"""The control socket: the client protocol of `frontend.Client` across processes, for this user only."""

from __future__ import annotations

import os
import pwd
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from aegis.bus import Batch
from aegis.callers import Caller
from aegis.client import LocalClient, sentence
from aegis.errors import AegisError
from aegis.events import Fault
from aegis.verb_definition import plain
from aegis.verbs import progress
from aegis_cli.lines import LineTooLong, line_reader, line_writer
from aegis_cli.protocol import exit_code, told
from aegis_cli.settings import SECTION, ControlSettings
from aegis_cli.socket_path import socket_of
from aegis_cli.transcript import STAYS
from aegis_cli.whose import Speaker, agent_of
from aegis_jsonrpc.connection import NO_METHOD, Connection, Reader, RpcError, Writer
from aegis_jsonrpc.message import INVALID, encoded_answer
from aegis_private.folder import Folder
from aegis_private.peers import listening, peer
from aegis_processes.ancestry import Gone
from aegis_processes.connections import ConnectionLimits, Connections, Peer, serve_connections

if TYPE_CHECKING:
    from aegis.app import Kernel

PROTOCOL = 2
UNREACHABLE = "control socket"  # the fault of a kernel without one
_AT_ONCE = 200  # batches in one message
_LAST = 0.2  # seconds for the last of them when a watch ends
_RESERVE = 16  # descriptors that are kept for this user's commands when the process has no other left
_PEOPLE = "people"  # the owner of the connections that are no agent's
_encode = msgspec.json.Encoder(enc_hook=repr).encode


def user_name(uid: int) -> str:
    """Return the login name of a user id."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class ControlSocket:
    """Serves every shell, REPL and script of the user who runs the kernel."""

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self.name = "control"
        self._kernel, self._settings = kernel, settings
        self.connections = Connections(self._limits, reserve=_RESERVE)
        self.refused = 0

    @property
    def _section(self) -> ControlSettings:
        section: ControlSettings = self._settings[SECTION]  # as it is now
        return section

    def _limits(self) -> ConnectionLimits:
        now = self._section
        return ConnectionLimits(now.max_connections, now.max_silent, patience=now.speak_within)

    async def run(self, started: trio.Event) -> None:
        """Listen until cancelled; the socket file is gone afterwards. A kernel that nobody can reach has to end."""
        try:
            path = socket_of(self._kernel.project)
            folder = Folder.open(path.parent, AegisError)
            folder.remove(path.name)  # the project's lock is ours, so nobody listens there any more
            made = listening(path)
        except (OSError, AegisError) as error:
            why = f"no command could reach this aegis, so it does not stay: its socket cannot be made ({error})"
            self._kernel.bus.report(Fault(UNREACHABLE, why, final=True))
            self._kernel.quit.set()
            return
        with folder, trio.socket.from_stdlib_socket(made) as listener:
            started.set()
            try:
                served = trio.SocketListener(listener)
                await serve_connections(served, self._serve, self._failed, self.connections)
            finally:
                self.connections.close()
                folder.remove(path.name)

    async def _serve(self, stream: trio.SocketStream, place: Peer) -> None:
        other = peer(stream.socket)
        if not other.is_me:
            self.refused += 1
            return
        try:
            agent_id = await agent_of(self._kernel, other.pid)
        except Gone:  # it waits for no answer, and whose it was nobody can say
            self.refused += 1
            return
        speaker = Speaker(self._kernel, Caller("human", user_name(other.uid)), agent_id, other.pid)
        async with trio.open_nursery() as nursery:
            read, write = line_reader(stream, self._section.max_request), line_writer(stream)
            heard = partial(self._spoken, place, agent_id or _PEOPLE, read, write)
            served = _Connection(self._kernel, speaker, nursery)
            served.connection = Connection(heard, write, served.handle)
            await served.connection.run()
            nursery.cancel_scope.cancel()

    async def _spoken(self, place: Peer, owner: str, read: Reader, write: Writer) -> list[bytes]:
        """Return the caller's next lines, none once it is refused; from the first one on the connection is its own."""
        why = ""
        try:
            lines = await read()
        except LineTooLong:
            lines = []
            why = f"a request has at most {self._section.max_request:,} bytes (plugins.cli.max_request)"
        if lines and not place.known(owner):
            most = f"{self._section.max_connections:,}"
            why = f"{most} shells and scripts are connected already, and plugins.cli.max_connections allows no more"
        place.busy = 1  # one that only listens is not idle
        if not why:
            return lines
        with suppress(RpcError):  # it has gone
            await write(encoded_answer(None, {"error": {"code": INVALID, "message": why}}))
        return []

    def _failed(self, error: Exception) -> None:
        self._kernel.bus.report(Fault("control", repr(error)))


class _Connection:
    connection: Connection

    def __init__(self, kernel: Kernel, speaker: Speaker, nursery: trio.Nursery) -> None:
        self._kernel, self._speaker, self._nursery = kernel, speaker, nursery
        self._watches: dict[Any, trio.CancelScope] = {}
        self._progress: deque[dict[str, Any]] = deque()
        self._speaking = trio.Lock()

    async def handle(self, method: str, params: Any) -> Any:
        arguments = params if isinstance(params, dict) else {}
        try:
            return await self._answer(method, arguments)
        except RpcError:
            raise
        except AegisError as error:
            raise RpcError(INVALID, str(error), plain(told(error))) from error

    @property
    def _client(self) -> LocalClient:
        return self._kernel.client(self._speaker.caller)

    async def _answer(self, method: str, arguments: dict[str, Any]) -> Any:
        self._speaker.check(method, str(arguments.get("verb", "")))
        match method:
            case "hello":
                return {"protocol": PROTOCOL, "pid": os.getpid(), "root": str(self._kernel.project.root)}
            case "call" | "perform":
                name, args = str(arguments.get("verb")), arguments.get("args") or {}
                with self._reported(arguments.get("call")):
                    value = await self._kernel.verbs.call(self._speaker.caller, name, args)
                await self._say_progress()
                if method == "call":
                    return plain(value)
                verb = self._kernel.verbs.verbs.get(name)
                return performed(value, read_only=bool(verb and verb.marks.read_only)) | self._warned()
            case "verbs":
                return await self._client.verbs()
            case "complete":
                return await self._client.complete(str(arguments.get("what")))
            case "snapshot":
                return await self._client.snapshot() | {"failing": self._failing()}
            case "plugins":
                return plain(self._kernel.plugins.report())
            case "watch":
                return await self._nursery.start(self._watch, *self._watch_of(arguments))
            case "unwatch":
                watch = arguments.get("watch")
                scope = self._watches.get(watch) if isinstance(watch, str | int | None) else None
                if scope:
                    scope.cancel()
                return scope is not None
            case "quit":
                self._kernel.quit.set()
                return True
        raise RpcError(NO_METHOD, f"there is no method {method!r}")

    def _watch_of(self, arguments: dict[str, Any]) -> tuple[str | int | None, int | None]:
        name, since = arguments.get("watch"), arguments.get("since")
        if not isinstance(name, str | int | None) or not isinstance(since, int | None):
            raise RpcError(INVALID, "a watch is named by a string or a number, and begins after a number")
        if name in self._watches:
            raise RpcError(INVALID, f"there is a watch {name!r} on this connection already")
        return name, since

    def _warned(self) -> dict[str, str]:
        """Return what a person must know beside every answer: that their files are not in force, what fails now."""
        error = self._kernel.config.error
        words = [*([f"{error}; {STAYS}"] if error else []), *self._failing()]
        return {"warning": "; ".join(words)} if words else {}

    def _failing(self) -> list[str]:
        """Return what does not work at this moment and may come right by itself; plugins add a remark `fault …`."""
        remarks = self._kernel.config.remarkers.items()
        return [remark for name, tell in remarks if name.startswith("fault ") for remark in tell()]

    @contextmanager
    def _reported(self, call: Any) -> Iterator[None]:
        """Pass on how far a verb is, until it has answered: what it began goes on, and nobody listens to that."""
        answered = False

        def tell(text: str) -> None:
            if not answered:
                self._progress.append({"call": call, "text": text})
                self._nursery.start_soon(self._say_progress)

        try:
            with progress(tell):
                yield
        finally:
            answered = True

    async def _say_progress(self) -> None:
        async with self._speaking:  # in order, and all of it before the answer
            while self._progress:
                await self._tell("progress", self._progress.popleft())

    async def _tell(self, method: str, params: Any) -> None:
        with suppress(RpcError):  # it hung up: its connection is ending, the others' are not
            await self.connection.notify(method, params)

    async def _watch(self, name: str | int | None, since: int | None, task_status: trio.TaskStatus[bool]) -> None:
        try:
            with trio.CancelScope() as self._watches[name]:
                async with self._client.watch(since) as news:
                    task_status.started(True)
                    try:
                        async for batches in news:
                            await self._show(name, batches)
                    finally:  # words that waited for more when the kernel ended
                        with trio.move_on_after(_LAST, shield=True):
                            await self._show(name, news.take())
        finally:
            self._watches.pop(name, None)

    async def _show(self, name: str | int | None, batches: list[Batch]) -> None:
        for at in range(0, len(batches), _AT_ONCE):
            rows = [[b.agent_id, msgspec.Raw(_encode(b.events)), b.number] for b in batches[at : at + _AT_ONCE]]
            await self._tell("events", {"watch": name, "batches": rows})


def performed(value: Any, *, read_only: bool = False) -> dict[str, Any]:
    """Return a verb's value as a shell wants it."""
    answer = {"value": plain(value), "text": sentence(value)}
    if code := exit_code(value, read_only=read_only):
        answer["exit_code"] = code
    return answer
