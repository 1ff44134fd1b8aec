"""A live agent: one task, the only holder of its session; mail in, turns out, honest about its state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import trio

from aegis.bus import Batch
from aegis.clock import new_id
from aegis.driver import Decision, Driver, PermissionRequest, Profile, Seat, Session
from aegis.errors import AegisError, LaunchError, Refused
from aegis.events import (
    AgentChanged,
    Event,
    Notice,
    PermissionAnswered,
    PermissionAsked,
    SessionStarted,
    TurnStarted,
)
from aegis.mail import Letter, Mailbox
from aegis.processes import Command, Process, running
from aegis.supervise import root_cause
from aegis.turn import Turn, prompt_of

if TYPE_CHECKING:
    from aegis.roster import Roster

AgentState = Literal["starting", "idle", "working", "stopped", "failed", "closed"]
_TRIES, _PAUSE, _OBEY = 3, 0.5, 10.0  # openings in a row that may fail; first pause; seconds to obey an interrupt


@dataclass(slots=True, eq=False)
class Agent:
    """One agent; everything durable about it is in the roster's book, everything said to it in its mailbox."""

    id: str
    handle: str
    profile_name: str
    profile: Profile
    driver: Driver
    house: Roster
    mailbox: Mailbox
    born: str
    by: str = ""
    state: AgentState = "stopped"
    reason: str = ""
    session_id: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    asking: dict[str, PermissionAsked] = field(default_factory=dict)
    turns: int = 0
    cost_usd: float = 0.0
    opened: trio.Event = field(default_factory=trio.Event)
    leaving: str = "aegis stopped while this turn ran"
    turn: Turn | None = None
    _session: Session | None = None
    _failures: int = 0
    _limit: trio.CancelScope = field(default_factory=trio.CancelScope)
    _revived: trio.Event = field(default_factory=trio.Event)

    @property
    def resume(self) -> str:
        """The session to resume; the last try after failures begins anew."""
        return self.session_id if self._failures < _TRIES - 1 else ""

    def say(self, *events: Event) -> None:
        """Publish events of the kernel's own about this agent."""
        self.house.bus.publish(self.id, *events)

    def snapshot(self) -> dict[str, Any]:
        """Return the agent's public face."""
        return {
            "id": self.id, "handle": self.handle, "profile": self.profile_name, "provider": self.profile.provider,
            "model": self.profile.model or "", "permission": self.profile.permission, "state": self.state,
            "reason": self.reason, "session_id": self.session_id, "queued": len(self.mailbox.waiting),
            "by": self.by, "turns": self.turns, "cost_usd": round(self.cost_usd, 6), "born": self.born,
            "notes": dict(self.notes), "asking": [msgspec.to_builtins(a) for a in self.asking.values()],
        }  # fmt: skip

    def show(self, state: AgentState | None = None, reason: str = "") -> None:
        """Publish the agent's face, after a change of state if one is given."""
        if state:
            self.state, self.reason = state, reason
            self.mailbox.busy = state != "idle"
        self.house.bus.publish(self.id, AgentChanged(self.snapshot()))

    def note(self, source: str, text: str) -> None:
        """Show a remark of a plugin beside the agent on every surface; an empty text takes it back."""
        if self.notes.get(source, "") != text:
            self.notes.pop(source, None)
            if text:
                self.notes[source] = text
                self.house.bus.publish(self.id, Notice(text, "warning", source))
            self.show()

    async def run(self) -> None:
        """Open the session when there is a reason to, and serve it, until cancelled."""
        try:
            while True:
                if self.opened.is_set():  # the first opening is the spawn's; later ones wait for mail
                    await self.mailbox.wait()
                self.show("starting")
                error = await self._life()
                if await self._lost(error):
                    await trio.sleep(_PAUSE * 2 ** (self._failures - 1) if self._failures else 0)
        finally:
            with trio.CancelScope(shield=True):
                await self._settle("interrupted", self.leaving)

    async def _life(self) -> LaunchError | Refused:
        try:
            async with self._open() as session:
                self._session = session
                await self._remember(getattr(session, "session_id", ""))
                self.opened.set()
                self._failures = 0 if not self.mailbox.waiting else self._failures
                await self.house.interceptors.tell("agent_started", self.id)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read, session)
                    while True:
                        self.show("idle")
                        await self.mailbox.wait()
                        await self._turn(session, self.mailbox.take())
        except (Exception, BaseExceptionGroup) as error:  # whatever a driver raised ends this session, not the agent
            cause = root_cause(error)
            if isinstance(cause, LaunchError | Refused):
                return cause
            if isinstance(cause, Exception):
                return LaunchError(f"the driver {self.driver.name!r} failed: {type(cause).__name__}: {cause}")
            raise
        finally:
            self._session = None
        raise AssertionError("a session is only left by an error")

    async def _lost(self, error: AegisError) -> bool:
        """Account for a session that is gone and return whether the agent goes on."""
        begun = self.turn is not None and self.turn.begun.is_set()
        await self._settle("failed", str(error))
        self._failures += 1
        if begun or (self.opened.is_set() and not self.mailbox.waiting):
            self._failures = 0
        if not self.opened.is_set() or self._failures >= _TRIES or isinstance(error, Refused):
            self.mailbox.closed = f"it has failed: {error}"
            self.show("failed", str(error))
            self.opened.set()
            self._failures = 0
            await self.house.post.bury(self.house.post.letters(self.id), str(error))
            self._revived = trio.Event()
            await self._revived.wait()
            return False
        self.house.bus.publish(self.id, Notice(f"{error}; the next message starts it again", "error", "aegis"))
        self.show("stopped", str(error))
        return True

    async def _settle(self, outcome: str, reason: str) -> None:
        """End the turn in flight, if any: with a sign of life it is over, without one its letters wait again."""
        turn, self.turn = self.turn, None
        if turn is None:
            return
        if turn.begun.is_set():
            ended = turn.ended or turn.fail(outcome, reason)
            self.say(ended)
            await self.house.post.ended(turn.letters, ended, tell=True)
        else:
            self.mailbox.put_back(turn.letters)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Session]:
        async with self.house.opening:
            seat = await self.house.furnish(self)
            seat.start, seat.ask = lambda command: self._start(seat, command), lambda request: self._ask(seat, request)
            context: AbstractAsyncContextManager[Session] = self.driver.open(seat)
            session = await context.__aenter__()
        try:
            yield session
        except BaseException as error:
            if not await context.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            await context.__aexit__(None, None, None)

    @asynccontextmanager
    async def _start(self, seat: Seat, command: Command) -> AsyncIterator[Process]:
        command = await self.house.interceptors.launch(seat, command)
        async with running(command, self.house.nursery) as process:
            yield process

    async def _ask(self, seat: Seat, request: PermissionRequest) -> Decision:
        self.asking[request.id] = PermissionAsked(request.id, request.tool, request.kind, request.title, request.input)
        self.say(self.asking[request.id])
        decision = Decision("cancelled", "the turn ended first")
        try:
            decision = await self.house.interceptors.permission(seat, request)
        finally:
            del self.asking[request.id]
            self.say(PermissionAnswered(request.id, decision.outcome, decision.reason))
        return decision

    async def _read(self, session: Session) -> None:
        bus = self.house.bus
        while True:
            events = await session.receive()
            if self.turn:
                events = self.turn.hear(events)
            for event in events:
                if type(event) is SessionStarted and event.session_id != self.session_id:
                    await self._remember(event.session_id)
            bus.publish_batch(Batch(self.id, events))
            await bus.room()

    async def _remember(self, session_id: str) -> None:
        if session_id and session_id != self.session_id:
            self.session_id = session_id
            await self.house.book.append("session", self.id, session_id=session_id)

    async def _turn(self, session: Session, letters: list[Letter]) -> None:
        turn = self.turn = Turn(new_id(), self.id, letters, prompt_of(letters))
        self.show("working")
        self.say(TurnStarted(turn.id, turn.envelopes, turn.trace))
        try:
            await self.house.interceptors.tell("before_turn", turn)
            with trio.move_on_after(self.profile.turn_limit) as self._limit:
                await session.send(turn.prompt)
                await turn.begun.wait()
                await self.house.post.injected(letters, turn.id)
                await turn.over.wait()
            if self._limit.cancelled_caught:
                await self._cut_short(turn)
        except Refused as refusal:
            self.say(turn.fail("refused", str(refusal)))
        assert turn.ended
        self.turns += 1
        self.cost_usd += turn.ended.cost_usd or 0.0
        self.turn, self._failures = None, 0
        await self.house.post.ended(letters, turn.ended, tell=turn.ended.outcome in ("failed", "refused"))
        await self.house.interceptors.tell("after_turn", turn, turn.ended)

    async def _cut_short(self, turn: Turn) -> None:
        why = f"the turn passed its limit of {self.profile.turn_limit:g} s"
        turn.begun.set()
        if not turn.interrupted:
            await self.interrupt()
            with trio.move_on_after(_OBEY):
                await turn.over.wait()
        if turn.ended is None:
            raise LaunchError(
                f"the CLI did not obey an interrupt within {_OBEY:g} s" + ("" if turn.interrupted else f"; {why}")
            )
        turn.ended = msgspec.structs.replace(turn.ended, outcome="failed", reason=why)

    async def interrupt(self) -> bool:
        """Ask the turn in flight to stop and say whether there was one; what waits becomes the next turn."""
        if self.turn is None or self._session is None:
            return False
        await self.house.interceptors.tell("interrupted", self.id)
        await self._session.interrupt()
        self.turn.interrupted = True
        self._limit.deadline = min(self._limit.deadline, trio.current_time() + _OBEY)
        return True

    def revive(self) -> None:
        """Let a failed agent take mail again."""
        self.mailbox.closed = ""
        self.show("stopped")
        self._revived.set()
