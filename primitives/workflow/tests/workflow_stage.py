"""What the tests of this package share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.testing.clock import settled
from aegis.testing.echo import EchoPlugin

ANNA = Caller("human", "anna")


@dataclass
class Stage:
    """A kernel and the echo driver of its agents."""

    kernel: Kernel
    echo: EchoPlugin

    async def call(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller, verb, args)

    async def begin(self, workflow: str, **kwargs: Any) -> str:
        """Begin a run and return its id."""
        return str((await self.call("workflow run", name=workflow, kwargs=kwargs)).workflow_id)

    async def end(self, run: str) -> Any:
        """Wait until the run has ended, or needs attention, and show it."""
        return await self.call("workflow wait", workflow_id=run)

    def mail(self) -> list[str]:
        """Return what waits in Anna's inbox."""
        return [letter.envelope.rendered() for letter in self.kernel.post.letters("human:anna")]

    def heard(self) -> list[str]:
        """Return every prompt that live agents have heard."""
        return [prompt for session in self.echo.driver.sessions.values() for prompt in session.heard]


async def quiet() -> None:
    """Let everything run that can, also what waits for the disk or for another thread."""
    await settled()
