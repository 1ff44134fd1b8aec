"""What the tests of this package share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import trio

from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin, EchoSession

ANNA = Caller("human", "anna")


@dataclass
class House:
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


async def settled() -> None:
    """Let everything run that can."""
    await trio.testing.wait_all_tasks_blocked(0.01)
