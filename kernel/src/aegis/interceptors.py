"""The one place for policy that cuts across: budgets, approvals, sandboxes, audit, users' hooks."""

from __future__ import annotations

from typing import Any, Protocol

import trio

from aegis.bus import Bus
from aegis.driver import Decision, PermissionRequest, Seat
from aegis.errors import AegisError, Refused, listed
from aegis.events import Fault
from aegis.processes import Command
from aegis.supervise import root_cause

_AFTERWARDS = frozenset({"after_turn", "after_verb", "agent_started", "interrupted", "agent_closed"})
POINTS = _AFTERWARDS | {"furnish", "before_launch", "before_turn", "before_verb", "permission"}


class Interceptor(Protocol):
    """An object with any of the methods below, all optional and async.

    `order` sorts them (low first, default 0), `timeout` limits each call in seconds (default 10; None for one that
    waits for a person), `strict` makes a failure refuse what was asked instead of being reported and skipped.
    Raising `Refused` refuses what was asked: the launch, the turn, the verb.

    furnish(seat)                      add servers, primer, environment before a driver opens
    before_launch(seat, command)       return another `Command` to run instead, or None
    before_turn(turn)                  rewrite `turn.prompt`
    after_turn(turn, ended)
    before_verb(call)                  rewrite `call.args`, which are validated
    after_verb(call, value, error)
    permission(seat, request)          return a `Decision`, or None to leave it to the next
    agent_started(agent_id)            the session is open
    interrupted(agent_id)              its turn is being cut short
    agent_closed(agent_id)             the agent is gone for good
    """

    name: str


class Interceptors:
    """All of them, asked in order."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._all: list[Any] = []

    def add(self, interceptor: Interceptor) -> None:
        """Ask this one too, from now on; raises `AegisError` when it has none of the points."""
        if not any(hasattr(interceptor, point) for point in POINTS):
            raise AegisError(f"interceptor {interceptor!r} has none of the points {listed(POINTS)}")
        self._all = sorted([*self._all, interceptor], key=lambda i: getattr(i, "order", 0))

    async def tell(self, point: str, *args: Any) -> None:
        """Let everyone act at this point, one after the other."""
        for interceptor in self._all:
            await self._one(interceptor, point, args)

    async def launch(self, seat: Seat, command: Command) -> Command:
        """Return the command as everyone wants it run."""
        for interceptor in self._all:
            command = await self._one(interceptor, "before_launch", (seat, command)) or command
        return command

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision:
        """Return the first decision, or the stricter presumed one; if nobody decides, that, else no; on a fault, no."""
        for interceptor in self._all:
            try:
                decision = await self._one(interceptor, "permission", (seat, request))
            except Refused as refusal:
                return Decision("denied", str(refusal))
            if isinstance(decision, Decision):
                return min((decision, request.presumed or decision), key=lambda said: said.allowed)
        return request.presumed or Decision("denied", "no plugin here can ask anyone (aegis-approvals would)")

    async def _one(self, interceptor: Any, point: str, args: tuple[Any, ...]) -> Any:
        method = getattr(interceptor, point, None)
        if method is None:
            return None
        timeout = getattr(interceptor, "timeout", 10)
        try:
            with trio.fail_after(float("inf") if timeout is None else timeout):
                return await method(*args)
        except (Exception, BaseExceptionGroup) as error:  # a plugin raised: catching whatever it was is the job here
            cause = root_cause(error)
            if not isinstance(cause, Exception):
                raise
            if isinstance(cause, Refused) and point not in _AFTERWARDS:
                raise cause from None
            name = getattr(interceptor, "name", type(interceptor).__name__)
            why = f"took longer than {timeout} s" if isinstance(cause, trio.TooSlowError) else repr(cause)
            self._bus.report(Fault(f"{name}.{point}", why))
            if getattr(interceptor, "strict", False) and point not in _AFTERWARDS:
                raise Refused(f"{name} must agree to this, and failed: {why}") from error
            return None
