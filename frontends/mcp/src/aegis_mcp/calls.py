"""Running calls: each in a task of its own, known by its agent, cancelled when nobody can want the answer any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from aegis import AegisError, Caller
from aegis.verbs import progress

RESTARTING = "the kernel is restarting; call again"
_ANSWERING = 0.4  # seconds in which cancelled calls are answered before the server stops


class Cancelled(AegisError):
    """The call was cancelled."""


class Failed(AegisError):
    """The verb failed for a reason that is not the caller's."""


@dataclass(slots=True, eq=False)
class Call:
    """One verb at work for one agent; `request` is the request that waits for it, `ticket` set once none does."""

    agent_id: str
    verb: str
    tool: str
    caller: Caller
    tools: int  # the generation of tools that there was when it began
    request: AgentRequest
    ticket: str = ""
    said: str = ""
    reason: str = ""
    unwanted: bool = False  # the client said that it wants no answer
    value: Any = None
    error: AegisError | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event = field(default_factory=trio.Event)
    began: float = field(default_factory=trio.current_time)
    wait: trio.CancelScope | None = None  # in which it is waited for, for a short time

    def cancel(self, reason: str) -> None:
        """Cancel the call; its answer will say why."""
        self.reason = self.reason or reason
        self.scope.cancel()

    def abandon(self) -> None:
        """Cancel the call, if nobody is left who wants to hear of it; nothing when it is over."""
        if not (self.ticket or self.over.is_set()):
            self.cancel("the client went away")

    def say(self, text: str) -> None:
        """Keep what the verb reported last."""
        self.said = text

    def result(self) -> Any:
        """Return what the verb returned, or raise what ended it."""
        if self.error:
            raise self.error
        return self.value


@dataclass(slots=True, eq=False)
class AgentRequest:
    """One HTTP request of an agent and the calls it waits for; `begun` is one that FastMCP need only wait for."""

    agent_id: str
    body: bytes = b""
    size: int = 0  # what has come of the body
    begun: Call | None = None
    calls: list[Call] = field(default_factory=list)
    over: trio.Event = field(default_factory=trio.Event)

    def disconnected(self) -> None:
        """Cancel what was called: the client has disconnected."""
        for call in self.calls:
            call.abandon()


class Calls:
    """Every call of every agent."""

    def __init__(self, nursery: trio.Nursery, failed: Callable[[str, BaseException], None]) -> None:
        self._nursery, self._failed = nursery, failed
        self._running: dict[str, set[Call]] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter([call for calls in self._running.values() for call in calls])

    def start(self, call: Call, work: Callable[[], Awaitable[Any]]) -> Call:
        """Begin the call and return it; it goes on when the task that started it does not."""
        call.request.calls.append(call)
        self._running.setdefault(call.agent_id, set()).add(call)
        self._nursery.start_soon(self._run, call, work)
        return call

    def follow(self, call: Call, then: Callable[[], Awaitable[None]]) -> None:
        """Have `then` run once the call is over; the plane does not end before that is done."""

        async def wait() -> None:
            await call.over.wait()
            await then()

        self._nursery.start_soon(wait)

    async def _run(self, call: Call, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            with call.scope, progress(call.say):
                call.value = await work()
            if call.scope.cancelled_caught:
                call.error = Cancelled(f"call cancelled: {call.reason}")
        except AegisError as error:
            call.error = error
        except (trio.Cancelled, KeyboardInterrupt):
            call.error = Cancelled(f"call cancelled: {RESTARTING}")
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a verb raises, SystemExit too, ends this call and no more
            self._failed(call.verb, error)
            call.error = Failed(f"{call.verb} failed inside aegis; the people here have been told")
        finally:
            self._forget(call)
            call.over.set()

    def _forget(self, call: Call) -> None:
        calls = self._running[call.agent_id]
        calls.discard(call)
        if not calls:
            del self._running[call.agent_id]

    def cancel(self, agent_id: str, reason: str, *, tickets: bool) -> None:
        """Cancel what the agent waits for and, with `tickets`, also what goes on without it."""
        for call in list(self._running.get(agent_id, ())):
            if tickets or not call.ticket:
                call.cancel(reason)

    async def drain(self) -> None:
        """Cancel everything and return once the clients have read that, or the time for it is over."""
        requests = {call.request for call in self if not call.ticket}
        for call in self:
            call.cancel(RESTARTING)
        with trio.move_on_after(_ANSWERING):
            for request in requests:
                await request.over.wait()
