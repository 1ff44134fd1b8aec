"""A live ACP agent: prompts in, updates out, and the requests that it makes of us."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio

from aegis import LaunchError, Process, Seat
from aegis.events import Event, SessionStarted, TurnEnded, Unknown
from aegis_acp import v1, wire
from aegis_acp.calls import Given, nothing
from aegis_acp.figures import Figures
from aegis_acp.permission_requests import PermissionRequests
from aegis_acp.session_record import SessionRecord
from aegis_acp.translate import HISTORY, Translator, reason_of
from aegis_jsonrpc.connection import CLOSED, NO_METHOD, Connection, RpcError
from aegis_jsonrpc.values import mapping

INVALID = -32602
_ASKS = "session/request_permission"
_START = 60.0  # seconds to answer a request that opens the session
_WAITING = 2_000  # events not received yet, beyond which the agent is read no further
_LATE = 0.5  # seconds after which one that has not begun to do so has nothing to repeat
_REPLAY = 5.0  # seconds in which a loaded session may repeat itself
_CLOSE = 0.3  # seconds to take a cancel before the process is ended


class AcpSession:
    """The one session of a process; what goes on beside the caller runs in `tasks`."""

    session_id = ""

    def __init__(self, seat: Seat, process: Process, tasks: trio.Nursery, given: Given = nothing) -> None:
        self._process, self._tasks = process, tasks
        self._connection = Connection(self._lines, self._write, self._handle, self._stray, asked={_ASKS})
        self._translator = Translator(lambda said: given(said, seat.cwd))
        self._requests = PermissionRequests(seat, self._translator, self.say)
        self._events: deque[Event] = deque()
        self._news, self._room = trio.Event(), trio.Event()
        self._lost: LaunchError | None = None
        self._busy = self._interrupted = self._cut = False
        self._opening, self._repeated = True, 0  # until the first turn nothing is said that belongs to one
        self._begun_again = trio.Event()
        self._primer = "\n\n".join(seat.primer)
        self._history = SessionRecord.of(seat)
        tasks.start_soon(self._connection.run)

    # ---------------------------------------------------------------------------------------------------- opening

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the agent's answer; raises `RpcError` with its error, `LaunchError` when there is none."""
        with trio.move_on_after(_START):
            try:
                return mapping(await self._connection.request(method, params))
            except RpcError:
                if self._lost:
                    raise self._lost from None
                raise
        raise LaunchError(f"{self._process.command} has not answered {method!r} within {_START:.0f} s")

    async def replayed(self) -> bool:
        """Wait until a loaded session has said again all that it said before; False when that was nothing.

        Some go on with it after their answer: it is over when between a request and its answer nothing more came.
        """
        before = -1
        with trio.move_on_after(_REPLAY):
            while before != self._repeated:
                before = self._repeated
                with suppress(RpcError):  # nobody has such a method
                    await self._connection.request("_aegis/ping", {})
                if not self._repeated:
                    with trio.move_on_after(_LATE):
                        await self._begun_again.wait()
        return self._repeated > 0

    def opened(self, started: SessionStarted, record: SessionRecord, figures: Figures, *, resumed: bool) -> None:
        """Be this session; one that was never told anything gets the primer with its first prompt."""
        self.session_id, self._history = started.session_id, record
        self.say(self._translator.opened(started, record.paid, figures, resumed=resumed))

    # ----------------------------------------------------------------------------------------------------- talking

    async def send(self, prompt: str) -> None:
        """Hand the prompt to the agent."""
        self._busy, self._interrupted, self._cut, self._opening = True, False, False, False
        self._translator.begin()
        self._requests.begin()
        texts = [wire.sayable(words) for words in [*self._aside(prompt), prompt]]
        self._history.paid = None  # until it ends: an agent that dies may keep a part of it
        self._history.keep()
        begun = trio.Event()
        self._tasks.start_soon(self._turn, texts, begun)
        await begun.wait()

    def _aside(self, prompt: str) -> list[str]:
        """Return what the agent is told in front of the prompt; a command of its own goes alone."""
        if prompt.startswith("/"):
            return []
        compacted = self._translator.meter.compacted
        told = [self._primer] if self._primer and (compacted or not self._history.told) else []
        self._translator.meter.compacted = False
        self._history.told = True
        refusals, self._requests.refusals = self._requests.refusals, []
        return [*told, *refusals]

    async def receive(self) -> Sequence[Event]:
        """Wait for the next events; raise `LaunchError` once the agent is gone."""
        while not self._events:
            if self._lost:
                raise self._lost
            await self._news.wait()
        events = [self._events.popleft()]
        while self._events and type(events[-1]) is not TurnEnded:
            events.append(self._events.popleft())
        self._room.set()
        return events

    async def interrupt(self) -> None:
        """Ask the turn in flight to stop, once all that it asks permission for is answered."""
        if self._busy:
            self._interrupted = True
            self._cut = await self._requests.end() or self._cut
            with suppress(RpcError):  # it is gone; `receive` says so with its last words
                await self._connection.notify("session/cancel", {"sessionId": self.session_id})

    async def close(self) -> None:
        """Have the turn in flight, if any, stop its tools before the process ends."""
        with trio.move_on_after(_CLOSE, shield=True):
            await self.interrupt()

    async def _turn(self, texts: list[str], begun: trio.Event) -> None:
        begun.set()  # nothing is written between here and the prompt
        try:
            answer = await self._connection.request("session/prompt", v1.prompt(self.session_id, texts))
            # One that was interrupted before it said anything did not complete, whatever it answers.
            cut = self._cut or (self._interrupted and not self._translator.spoke)
            events = self._translator.ended(answer, cut=cut, stopped=self._interrupted)
        except RpcError as error:
            if self._lost:
                return
            failed = self._translator.failed(reason_of(str(error), error.data))
            events = self._translator.cancelled() if self._interrupted else failed
        self._busy = False
        await self._requests.end()
        self._history.paid = self._translator.meter.kept
        self._history.keep()
        self.say(events)

    # ----------------------------------------------------------------------------------------------------- hearing

    def say(self, events: Sequence[Event]) -> None:
        """Let these be received next."""
        if events:
            self._events.extend(events)
            self._news.set()
            self._news = trio.Event()

    async def _lines(self) -> list[bytes]:
        while len(self._events) > _WAITING:
            self._room = trio.Event()
            await self._room.wait()
        try:
            while True:
                if lines := wire.lines(await self._process.lines()):
                    return lines
        except LaunchError as error:
            return self._over(error)

    async def _write(self, data: bytes) -> None:
        try:
            await self._process.write(data)
        except LaunchError as error:
            self._over(error)
            raise RpcError(CLOSED, str(error)) from None

    def _over(self, error: LaunchError) -> list[bytes]:
        self._lost = self._lost or error
        self._news.set()
        return []

    def _stray(self, line: bytes) -> None:
        self.say([Unknown(wire.shown(line))])

    async def _handle(self, method: str, params: Any) -> Any:
        if method == "session/update":
            return self._updated(mapping(params))
        if method != _ASKS:
            raise RpcError(NO_METHOD, f"aegis has no method {method!r}")
        asked = v1.permission(params)
        if asked is None:
            self.say([Unknown(params)])
            raise RpcError(INVALID, "this asks permission for nothing that is known")
        if self.session_id and asked.session_id != self.session_id:
            self.say([Unknown(params)])
            raise RpcError(INVALID, f"there is no session {asked.session_id!r} here")
        return await self._requests.answer(asked)

    def _updated(self, params: dict[str, Any]) -> None:
        update = params.get("update")
        if self.session_id and params.get("sessionId") != self.session_id:
            self.say([Unknown(params)])
        elif self._opening and mapping(update).get("sessionUpdate") in HISTORY:
            self._repeated += 1
            self._begun_again.set()
        else:
            self.say(self._translator.update(update))
