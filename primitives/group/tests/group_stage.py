"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from aegis import Caller, Kernel, LaunchError, Seat
from aegis.agent import Agent
from aegis.clock import new_id
from aegis.events import Event, Text, TurnEnded, Usage
from aegis.testing.clock import settled
from aegis.testing.echo import EchoDriver, EchoPlugin, EchoSession

ANNA = Caller("human", "anna")


@dataclass
class Stage:
    """A kernel and the echo driver of its members."""

    kernel: Kernel
    echo: EchoPlugin

    async def call(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller, verb, args)

    async def gather(self, *profiles: str, group: str = "audit") -> dict[str, str]:
        """Make a group and return its members' handles by label."""
        done = await self.call("group spawn-mixed", group=group, profiles=profiles or ("sec", "api", "style"))
        return dict(done.handles)

    async def ask(self, group: str = "audit", caller: Caller | Agent = ANNA, **args: Any) -> str:
        """Ask the group and return the broadcast's id."""
        asked = await self.call("group broadcast", caller, group=group, **{"objective": "look", **args})
        return str(asked.broadcast_id)

    def agent(self, handle: str) -> Agent:
        """Return the agent of this handle."""
        return self.kernel.roster.find(handle)

    def session(self, handle: str) -> EchoSession:
        """Return its session."""
        return self.echo.driver.sessions[self.agent(handle).id]


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds; the disk and the machine's other work are waited for."""
    with trio.fail_after(10):
        while not holds():
            await settled()


class MortalSession(EchoSession):
    """An echo whose CLI can die, fail, cost something, or set something going."""

    def __init__(self, session_id: str, *, gated: bool = False) -> None:
        super().__init__(session_id, gated=gated)
        self.dies, self._dying = trio.Event(), False
        self.usage: Usage | None = None
        self.cost: float | None = None

    async def receive(self) -> Sequence[Event]:
        """Say what an echo says, unless it dies first."""
        said: list[Event] = []

        async def listen() -> None:
            said.extend(await super(MortalSession, self).receive())
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(self._until, self.dies, nursery)
        if not said and self._dying:
            raise LaunchError("the CLI exited with code 3")
        if not said:
            self._dying = True
            return [Text("begun")]
        end = said.pop()
        assert isinstance(end, TurnEnded)
        return [*said, TurnEnded(end.outcome, usage=self.usage, cost_usd=self.cost)]


class MortalDriver(EchoDriver):
    """The provider `echo`, of CLIs that can die; each turn costs what `cost` says."""

    cost: float | None = None
    usage: Usage | None = None

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[EchoSession]:
        """Start a session, or go on with one."""
        made = self.sessions[seat.agent_id] = MortalSession(seat.resume or new_id(), gated=self.gated)
        made.cost, made.usage = self.cost, self.usage
        try:
            yield made
        finally:
            self.sessions.pop(seat.agent_id, None)


class MortalPlugin(EchoPlugin):
    """The plugin that offers it."""

    def __init__(self) -> None:
        self.driver: MortalDriver = MortalDriver()
