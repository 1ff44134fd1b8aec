"""The one place for policy that cuts across: budgets, approvals, sandboxes, audit, users' hooks."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import iscoroutinefunction
from itertools import count
from math import inf
from typing import Any, NamedTuple, Protocol

import trio

from aegis.admission import Hold, Work
from aegis.bus import Bus
from aegis.callers import Caller
from aegis.driver import Decision, PermissionRequest, Seat
from aegis.errors import AegisError, Refused, listed
from aegis.events import Fault
from aegis.registry import acting, acts
from aegis.supervise import root_cause
from aegis_processes.cancellation import finish_despite_cancel
from aegis_processes.processes import Command

_AFTERWARDS = frozenset(
    {"after_turn", "after_verb", "agent_started", "interrupted", "session_ended", "agent_closed", "release"}
)
_BEFORE = {"before_spawn", "before_rename", "before_open", "before_launch", "before_turn", "before_verb"}
POINTS = _AFTERWARDS | _BEFORE | {"admit", "permission"}


class Interceptor(Protocol):
    """An object with any of the methods below, all optional, async or plain: what never waits is only a call.

    `order` sorts them (low first, default 0), `timeout` limits each call in seconds (default 10; None for one that
    waits for a person), `strict` makes a failure refuse what was asked instead of being reported and skipped.
    Raising `Refused` refuses what was asked: the spawn, the launch, the work, the turn, the verb.

    before_spawn(by, profile, handle)  `by` is a `Caller`; return True to vouch for the spawn of an agent by an agent
    before_rename(by, agent_id, handle)
    before_open(seat)                  add servers, primer, environment before a driver opens
    before_launch(seat, command)       return another `Command` to run instead, or None
    session_ended(seat)                the session is gone, by whatever exit
    admit(work)                        return a `Hold` if the `Work` must wait, or None if it may begin
    release(work)                      what was admitted will not begin after all
    before_turn(turn)                  rewrite `turn.prompt`
    after_turn(turn, ended)
    before_verb(call)                  rewrite `call.args`, which are validated again
    after_verb(call, value, error)
    permission(seat, request)          return a `Decision`, or None to leave it to the next
    agent_started(agent_id)            the session is open
    interrupted(agent_id)              its turn is being cut short
    agent_closed(agent_id)             the agent is gone for good
    """

    name: str


class _Held(NamedTuple):
    """An interceptor and whose it is; sorted, they stand in the order in which they are asked."""

    order: int
    owner: str
    number: int
    interceptor: Any


class Interceptors:
    """All of them, asked in order."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._count = bus, count()
        self.held: list[_Held] = []
        self._at: dict[str, list[_Held]] = {point: [] for point in POINTS}
        self._asked: dict[trio.CancelScope, _Held] = {}

    def add(self, interceptor: Interceptor) -> None:
        """Ask this one too, from now on; raises `AegisError` when it has none of the points."""
        if not any(hasattr(interceptor, point) for point in POINTS):
            raise AegisError(f"interceptor {interceptor!r} has none of the points {listed(POINTS)}")
        order = getattr(interceptor, "order", 0)
        self._keep([*self.held, _Held(order, acts(), next(self._count), interceptor)])

    def remove(self, by: str, *, strict: bool = True) -> None:
        """Ask those of this owner no more, nor wait for them; without `strict` those that say they are it stay."""
        stay = [h for h in self.held if not strict and getattr(h.interceptor, "strict", False)]
        self._keep([h for h in self.held if h.owner != by or h in stay])
        for scope in [scope for scope, held in self._asked.items() if held not in self.held]:
            scope.cancel()

    def _keep(self, held: list[_Held]) -> None:
        self.held = sorted(held, key=lambda h: h[:3])
        self._at = {point: [h for h in self.held if hasattr(h.interceptor, point)] for point in POINTS}

    def at(self, point: str) -> int:
        """Return how many act at this point."""
        return len(self._at[point])

    def waits(self, point: str) -> bool:
        """Return whether the method of one of those who act at this point is async."""
        return any(iscoroutinefunction(getattr(h.interceptor, point)) for h in self._at[point])

    async def tell(self, point: str, *args: Any) -> None:
        """Let everyone act at this point, one after the other."""
        for held in self._at[point]:
            await self._one(held, point, args)

    async def spawn(self, by: Caller, profile: str, handle: str) -> bool:
        """Return whether somebody vouches for this spawn; raises `Refused` when somebody does not allow it."""
        answers = [await self._one(held, "before_spawn", (by, profile, handle)) for held in self._at["before_spawn"]]
        return any(answer is True for answer in answers)

    async def admit(self, work: Work) -> Hold | None:
        """Return None when the work may begin, or why and until when it must wait; raises `Refused` if it never may."""
        try:
            for held in self._at["admit"]:
                if isinstance(answer := await self._one(held, "admit", (work,)), Hold):
                    await self.tell("release", work)
                    return answer
        except (Refused, trio.Cancelled):
            async with finish_despite_cancel():
                await self.tell("release", work)
            raise
        return None

    async def launch(self, seat: Seat, command: Command) -> Command:
        """Return the command as everyone wants it run."""
        for held in self._at["before_launch"]:
            command = await self._one(held, "before_launch", (seat, command)) or command
        return command

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision:
        """Return the first decision, or the stricter presumed one; if nobody decides, that, else no; on a fault, no."""
        for held in self._at["permission"]:
            try:
                decision = await self._one(held, "permission", (seat, request))
            except Refused as refusal:
                return Decision("denied", str(refusal))
            if isinstance(decision, Decision):
                return min((decision, request.presumed or decision), key=lambda said: said.allowed)
        return request.presumed or Decision("denied", "no plugin here can ask anyone (aegis-approvals would)")

    async def _one(self, held: _Held, point: str, args: tuple[Any, ...]) -> Any:
        if held not in self._at[point]:  # it left while those before it were asked
            return None
        try:
            with acting(held.owner):
                answer = getattr(held.interceptor, point)(*args)
                return await self._in_time(held, answer) if hasattr(answer, "__await__") else answer
        except (Exception, BaseExceptionGroup) as error:  # a plugin raised: catching whatever it was is the job here
            cause = root_cause(error)
            if not isinstance(cause, Exception):
                raise
            if isinstance(cause, Refused) and point not in _AFTERWARDS:
                raise cause from None
            name = getattr(held.interceptor, "name", type(held.interceptor).__name__)
            why = str(cause) if isinstance(cause, trio.TooSlowError) and str(cause) else repr(cause)
            self._bus.report(Fault(f"{name}.{point}", why))
            if getattr(held.interceptor, "strict", False) and point not in _AFTERWARDS:
                raise Refused(f"{name} must agree to this, and failed: {why}") from error
        return None

    async def _in_time(self, held: _Held, answer: Awaitable[Any]) -> Any:
        timeout = getattr(held.interceptor, "timeout", 10)
        deadline = inf if timeout is None else trio.current_time() + timeout
        self._asked[scope := trio.CancelScope(deadline=deadline)] = held
        try:
            with scope:
                return await answer
        finally:
            del self._asked[scope]
        if held in self.held:
            raise trio.TooSlowError(f"took longer than {timeout} s")
        return None
