"""The one place for policy that cuts across: budgets, approvals, sandboxes, audit, users' hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

from aegis.callers import Caller
from aegis.driver import Decision, PermissionRequest, Seat
from aegis.errors import AegisError, Refused
from aegis.events import Fault, TurnEnded
from aegis.processes import Command

POINTS = frozenset({
    "furnish", "before_launch", "before_turn", "after_turn", "before_verb", "after_verb", "permission",
    "agent_started", "interrupted", "agent_closed",
})  # fmt: skip


class Turn(Protocol):
    """What an interceptor sees of a turn; `prompt` may be rewritten before it is sent."""

    id: str
    agent_id: str
    envelopes: tuple[str, ...]
    trace: str
    prompt: str


class Call(Protocol):
    """What an interceptor sees of a verb call, with validated arguments, which it may rewrite."""

    verb: str
    caller: Caller
    args: dict[str, Any]


class Interceptor(Protocol):
    """An object with any of the methods below, all optional and async.

    `order` sorts them (low first, default 0), `timeout` limits each call in seconds (default 10; None for one that
    waits for a person), `strict` makes a failure refuse what was asked instead of being reported and skipped.
    Raising `Refused` refuses what was asked: the launch, the turn, the verb.

    furnish(seat: Seat)                                add servers, primer, environment before a driver opens
    before_launch(seat: Seat, command: Command)        return another Command to run instead, or None
    before_turn(turn: Turn)                            rewrite `turn.prompt`
    after_turn(turn: Turn, ended: TurnEnded)
    before_verb(call: Call)                            rewrite `call.args`
    after_verb(call: Call, value, error)
    permission(seat: Seat, request: PermissionRequest) return a Decision, or None to leave it to the next
    agent_started(agent_id: str)                       the session is open
    interrupted(agent_id: str)                         its turn is being cut short
    agent_closed(agent_id: str)                        the agent is gone for good
    """

    name: str


class Interceptors:
    """All of them, asked in order."""

    def __init__(self, report: Callable[[Fault], None]) -> None:
        self._report = report
        self._all: list[Any] = []

    def add(self, interceptor: Interceptor) -> None:
        """Ask this one too, from now on; raises `AegisError` when it has a misspelt or unknown point."""
        public = {n for n in dir(interceptor) if not n.startswith("_") and callable(getattr(interceptor, n))}
        if not public & POINTS:
            raise AegisError(f"interceptor {interceptor!r} has none of the points {', '.join(sorted(POINTS))}")
        self._all.append(interceptor)
        self._all.sort(key=lambda i: getattr(i, "order", 0))

    def remove(self, interceptor: Interceptor) -> None:
        """Ask this one no more."""
        self._all.remove(interceptor)

    def has(self, point: str) -> bool:
        """Return whether anyone listens at this point."""
        return any(hasattr(i, point) for i in self._all)

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
        """Return the first decision; with nobody to decide, or on a fault, the answer is no."""
        for interceptor in self._all:
            try:
                decision = await self._one(interceptor, "permission", (seat, request))
            except Refused as refusal:
                return Decision("denied", str(refusal))
            if decision is not None:
                assert isinstance(decision, Decision)
                return decision
        return Decision("denied", "nobody here can be asked (aegis-approvals is not installed)")

    async def _one(self, interceptor: Any, point: str, args: tuple[Any, ...]) -> Any:
        method: Callable[..., Awaitable[Any]] | None = getattr(interceptor, point, None)
        if method is None:
            return None
        timeout = getattr(interceptor, "timeout", 10)
        try:
            with trio.fail_after(float("inf") if timeout is None else timeout):
                return await method(*args)
        except Refused:
            raise
        except Exception as error:  # a plugin raised: catching whatever it was is this module's job
            name = getattr(interceptor, "name", type(interceptor).__name__)
            why = f"took longer than {timeout} s" if isinstance(error, trio.TooSlowError) else repr(error)
            self._report(Fault(f"{name}.{point}", why))
            if getattr(interceptor, "strict", False) and not point.startswith("a"):
                raise Refused(f"{name} must agree to this, and failed: {why}") from error
            return None


__all__ = ["POINTS", "Call", "Interceptor", "Interceptors", "Turn", "TurnEnded"]
