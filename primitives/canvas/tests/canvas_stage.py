"""A stage with canvases, whose agents echo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.testing import clock
from aegis.testing.echo import EchoPlugin

ANNA = Caller("human", "anna")
BO = Caller("human", "bo")
_LONG = {"write": "write-section", "append": "append-to-section"}  # what agents may call, too
PLAN = "# Plan\n\n## Goals\n\nShip it.\n\n## Data\n\nNone yet.\n"


@dataclass
class Stage:
    """A kernel, its folder, and the echo driver of its agents."""

    kernel: Kernel
    echo: EchoPlugin

    @property
    def plan(self) -> Path:
        """The file most tests work with."""
        return self.kernel.project.root / "plan.md"

    async def call(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb of canvases as a person, or as one of the agents, and return once everybody is told."""
        done = await self.do(verb, caller, **args)
        await told(self.kernel)
        return done

    async def do(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb of canvases as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller, f"canvas {_LONG.get(verb, verb)}", args)

    async def open(self, text: str = PLAN, **args: Any) -> Any:
        """Open the plan, which says this."""
        self.plan.write_bytes(text.encode())
        return await self.call("open", **{"name": "plan", "file": "plan.md", **args})

    async def write(self, section: str, content: str, caller: Caller | Agent = ANNA, **args: Any) -> Any:
        """Write a section of the plan."""
        return await self.call("write", caller, name="plan", section=section, content=content, **args)

    async def read(self, section: str = "", caller: Caller | Agent = ANNA) -> Any:
        """Read the plan."""
        return await self.call("read", caller, name="plan", section=section)

    async def agent(self, handle: str, *, watches: bool = False, sections: tuple[str, ...] = ()) -> Agent:
        """Return an agent, which may watch the plan."""
        agent = await self.kernel.roster.spawn("echo", handle)
        if watches:
            await self.call("subscribe", agent, name="plan", sections=sections)
        return agent

    def heard(self, agent: Agent) -> list[str]:
        """Return what the agent's CLI was sent."""
        return self.echo.driver.sessions[agent.id].heard

    def mail(self, who: str = "human:anna") -> list[str]:
        """Return what waits in a person's inbox."""
        return [letter.envelope.rendered() for letter in self.kernel.post.letters(who)]

    def bodies(self, who: str = "human:anna") -> list[str]:
        """Return the words of it."""
        return [letter.envelope.body for letter in self.kernel.post.letters(who)]

    async def mailed(self, count: int, who: str = "human:anna") -> list[str]:
        """Return the words of a person's mail once there is so much of it."""
        with trio.fail_after(10), self.kernel.bus.subscribe() as news:
            while len(self.bodies(who)) < count:
                await anext(news)
        return self.bodies(who)


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds; threads that still work are waited for."""
    with trio.fail_after(10):
        while not holds():
            await trio.testing.wait_all_tasks_blocked(0.01)


async def told(kernel: Kernel) -> None:
    """Return once everybody is told of what was done."""
    book = kernel.verbs.verbs.get("canvas list")
    store = book.run.__self__._store if book else None  # type: ignore[attr-defined]  # noqa: SLF001 - no verb says it
    if store:
        await until(lambda: not any(canvas.untold for canvas in store.canvases.values()))


async def settled() -> None:
    """Let everything run that can, and what is told a moment later, too."""
    await clock.settled()
    await trio.testing.wait_all_tasks_blocked(0.01)
    await clock.settled()
