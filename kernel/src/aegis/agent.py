"""A live agent: one task, the only holder of its session; mail in, turns out, honest about its state."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from aegis.agent_view import AgentView
from aegis.clock import new_id
from aegis.driver import Identified, Seat, Session
from aegis.errors import AegisError, LaunchError, Refused, SessionGone
from aegis.events import Notice, Outcome, TurnStarted
from aegis.mailbox import Letter
from aegis.seat import OPENING, listen, seated
from aegis.supervise import root_cause
from aegis.turn import Turn, prompt_of
from aegis_processes.cancellation import finish_despite_cancel

_TRIES, _PAUSE = 3, 0.5  # openings in a row that may fail; seconds before the second
INTERRUPTED = "aegis stopped while this turn ran"
_OBEY = 10.0  # seconds a CLI has to obey an interrupt


@dataclass(slots=True, eq=False, kw_only=True)
class Agent(AgentView):
    """One agent; everything durable about it is in the roster's book, everything said to it in its mailbox."""

    opened: trio.Event = field(default_factory=trio.Event)
    asleep: str = ""  # why it has no session by intent, as the book has it
    end_reason: str = INTERRUPTED
    turn: Turn | None = None
    seat: Seat | None = None
    _session: Session | None = None
    _failures: int = 0
    _came_up: bool = False
    _limit: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def resume(self) -> str:
        """The session to resume; the last try after failures begins anew."""
        return self.session_id if self.driver.resumes and self._failures < _TRIES - 1 else ""

    async def run(self) -> None:
        """Open the session when there is a reason to, and serve it, until cancelled or failed."""
        try:
            going = self.state != "failed"
            while going:
                if self.opened.is_set() and not self.to_sleep:  # the first opening is the spawn's
                    await self.mailbox.wait()
                if self.to_sleep:
                    await self._fall_asleep()
                    continue
                self.follow_profile(take=True)
                self.began = ""
                self.show("starting")
                going = await self._lost(self.kernel.redactor.error(await self._life()))
        finally:
            self.opened.set()
            self.slept.set()
            if self.turn:
                async with finish_despite_cancel():
                    await self._finish_turn("interrupted", self.end_reason)

    async def _life(self) -> AegisError | None:
        self._came_up = False
        with trio.CancelScope() as opening:
            try:
                async with seated(self, opening) as session, trio.open_nursery() as nursery:
                    self._session, opening.deadline = session, float("inf")
                    own = session.session_id if isinstance(session, Identified) else ""
                    resumed = self.seat and self.seat.resume and own in ("", self.seat.resume)
                    self.began = "resumed" if resumed else "restarted" if self.turns else "new"
                    await self.remember(own)
                    self._came_up = True
                    await self.kernel.interceptors.tell("agent_started", self.id)
                    nursery.start_soon(listen, self, session)
                    while True:
                        if self.state != "idle":
                            self.show("idle")
                        self.opened.set()  # whoever spawned it may write to it now, and is not told that it waits
                        await self.mailbox.wait()
                        if self.to_sleep:
                            nursery.cancel_scope.cancel()
                            break
                        if letters := self.mailbox.take(self.kernel.post.limits.turn):
                            await self._take_turn(session, letters)
                return None
            except (Exception, BaseExceptionGroup) as error:  # whatever a driver raised ends the session, not the agent
                cause = root_cause(error)
                if isinstance(cause, AegisError):
                    return cause
                if isinstance(cause, Exception):
                    return LaunchError(f"the driver {self.driver.name!r} failed: {cause!r}")
                raise
            finally:
                self._session = None
                self.expecting.pop("background", None)
        return LaunchError(f"the CLI of {self.driver.name!r} did not come up within {OPENING:g} s")

    async def _lost(self, error: AegisError | None) -> bool:
        """Account for a session that is gone: stopped until mail comes (True), or failed until revived."""
        if error is None or self.to_sleep:
            return True
        if isinstance(error, SessionGone) and self.seat and self.seat.resume:
            self.session_id = ""  # it begins anew at once
            await self._finish_turn("failed", str(error))
            self.mailbox.wake()
            return True
        begun = self.turn is not None and self.turn.begun.is_set()
        between = self._came_up and self.turn is None and not self.mailbox.waiting
        self.show("stopped", str(error))
        await self._finish_turn("failed", str(error))
        self._failures = 0 if begun or between else self._failures + 1
        if self.opened.is_set() and self._failures < _TRIES and not isinstance(error, Refused):
            self.kernel.bus.publish(self.id, Notice(f"{error}; the next message starts it again", "error", "aegis"))
            await trio.sleep(_PAUSE * 2 ** (self._failures - 1) if self._failures else 0)
            return True
        self.crashed(str(error))
        self.mailbox.take()  # who is revived meanwhile does not get them
        await self.kernel.post.dead_letter(self.kernel.post.letters(self.id), str(error))
        return False

    def crashed(self, why: str) -> None:
        """Take no more mail, until revived."""
        self.mailbox.closed, self._failures = f"it has failed: {why}", 0
        self.show("failed", why)
        self.opened.set()

    async def _fall_asleep(self) -> None:
        self.asleep, self.to_sleep = self.to_sleep, ""
        self.show("asleep", self.asleep)
        try:
            await self.kernel.ledger.book("roster").append("slept", self.id, asleep=self.asleep)
        finally:
            self.slept.set()

    async def _finish_turn(self, outcome: Outcome, reason: str) -> None:
        """End the turn in flight, if any: with a sign of life it is over, without one its letters wait again."""
        turn, self.turn = self.turn, None
        if turn and turn.begun.is_set():
            await self._end(turn, turn.ended or turn.fail(outcome, reason))
        elif turn:
            self.mailbox.put_back(turn.letters)

    async def remember(self, session_id: str) -> None:
        """Keep the session's id, and that the agent is awake."""
        if self.asleep or session_id not in ("", self.session_id):
            self.session_id, self.asleep = session_id or self.session_id, ""
            self.kernel.ledger.book("roster").ride("session", self.id, session_id=self.session_id, asleep="")

    async def _take_turn(self, session: Session, letters: list[Letter]) -> None:
        turn = self.turn = Turn(new_id(), self.id, letters, prompt_of(letters, len(self.mailbox.waiting)))
        self._limit = trio.CancelScope()
        self.show("working", "", TurnStarted(turn.id, turn.envelopes, turn.trace))
        try:
            await self.kernel.interceptors.tell("before_turn", turn)
            if turn.interrupted:
                raise Refused("it was interrupted before it began")
            self._limit.deadline, turn.sent = trio.current_time() + self.profile.turn_limit, True
            with self._limit:
                await session.send(turn.prompt)
                await turn.over.wait()
            if self._limit.cancelled_caught:
                await self._cut_short(turn)
        except Refused as refusal:
            turn.fail("cancelled" if turn.interrupted else "refused", str(refusal))
        self.turn, self._failures = None, 0
        waits = self.kernel.interceptors.waits("after_turn")
        async with finish_despite_cancel(grace=1) if waits else nullcontext():  # else nothing of it can be cancelled
            await self._end(turn, turn.ended)

    async def _end(self, turn: Turn, ended: Any) -> None:
        if not turn.heard:  # the end is the kernel's word: the CLI did not say it
            self.kernel.bus.publish(self.id, ended)
        self.turns += 1
        self.cost_usd += ended.cost_usd or 0.0
        self.cost_unknown += ended.cost_usd is None
        if self._session:
            self.show("idle")  # before whoever waits for the turn hears that it is over
        bad = ended.outcome in ("failed", "refused", "interrupted")
        await self.kernel.post.ended(turn.letters, ended, tell=bad)
        await self.kernel.interceptors.tell("after_turn", turn, ended)

    async def _cut_short(self, turn: Turn) -> None:
        turn.begun.set()
        asked = turn.interrupted  # by somebody, before the limit
        why = "it was interrupted" if asked else f"the turn passed its limit of {self.profile.turn_limit:g} s"
        if not asked:
            await self.interrupt()
            with trio.move_on_after(_OBEY):
                await turn.over.wait()
        if turn.ended is None:
            raise LaunchError(f"{why}, and the CLI did not obey an interrupt within {_OBEY:g} s")
        if not asked:
            turn.ended = msgspec.structs.replace(turn.ended, outcome="failed", reason=why)

    def cut_in(self) -> None:
        """Interrupt the turn that runs at this moment, if one does."""
        if self.turn:
            self.kernel.base.start_soon(self.interrupt, self.turn)

    async def interrupt(self, turn: Turn | None = None, why: str = "") -> bool:
        """Ask the turn in flight (this one, if given) to stop and say whether it was; `why` becomes its reason."""
        turn, session = turn or self.turn, self._session
        if turn is None or turn is not self.turn or session is None:
            return False
        turn.interrupted, turn.why = True, why
        self._limit.deadline = min(self._limit.deadline, trio.current_time() + _OBEY)
        try:
            await self.kernel.interceptors.tell("interrupted", self.id)
            if turn.sent and turn is self.turn:
                await session.interrupt()
        except Exception as error:  # noqa: BLE001 - whoever asked is not to blame; the deadline just set ends the turn
            self.kernel.bus.publish(self.id, Notice(f"the interrupt failed: {root_cause(error)!r}", "error", "aegis"))
        return True
