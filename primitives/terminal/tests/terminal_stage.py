"""A stage with terminals, whose agents echo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin

ANNA = Caller("human", "anna")
BO = Caller("human", "bo")
POSIX = ("bash", "zsh", "dash")
SHELLS = (*POSIX, "fish")


def installed(*shells: str) -> list[Any]:
    """Return the shells as parameters; those that are not on this machine are skipped."""
    return [
        pytest.param(shell, marks=[] if shutil.which(shell) else pytest.mark.skip(f"{shell} is not installed"))
        for shell in shells
    ]


needs = {
    tool: pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed")
    for tool in ("bash", "zsh", "dash", "fish", "vim", "less", "python3")
}


@dataclass
class Stage:
    """A kernel and the echo driver of its agents."""

    kernel: Kernel
    echo: EchoPlugin

    async def call(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb of terminals as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller, f"term {verb}", args)

    async def spawn(self, shell: str = "bash", name: str = "build", **args: Any) -> Any:
        """Open a terminal."""
        return await self.call("spawn", **{"name": name, "shell": shell, **args})

    async def run(self, cmd: str, caller: Caller | Agent = ANNA, name: str = "build", **args: Any) -> Any:
        """Run a command in it; nothing that is tested takes half a minute."""
        with trio.fail_after(30):
            return await self.call("run", caller, **{"name": name, "cmd": cmd, "timeout": 20, **args})

    async def said(self, cmd: str, **args: Any) -> tuple[int | None, str]:
        """Return the exit code and the output of a command."""
        run = await self.run(cmd, **args)
        return run.exit, run.stdout

    async def shows(self, text: str, name: str = "build") -> Any:
        """Return the screen once it shows the text, which may go on in the next line."""
        with trio.move_on_after(15):
            while text not in "".join((screen := await self.call("screen", name=name)).lines):
                await trio.testing.wait_all_tasks_blocked(0.02)
            return screen
        raise AssertionError(f"{text!r} never came: {screen}")

    async def state(self, state: str, name: str = "build") -> None:
        """Wait until the terminal is in this state."""
        with trio.fail_after(15):
            while not any(row.name == name and row.state == state for row in await self.call("list")):
                await trio.testing.wait_all_tasks_blocked(0.01)

    async def agent(self, handle: str, permission: str = "full") -> Agent:
        """Return an agent with this permission."""
        return await self.kernel.roster.spawn(permission, handle)

    def heard(self, agent: Agent) -> list[str]:
        """Return what the agent's CLI was sent."""
        return self.echo.driver.sessions[agent.id].heard

    def bodies(self, who: str = "human:anna") -> list[str]:
        """Return the words of a person's mail."""
        return [letter.envelope.body for letter in self.kernel.post.letters(who)]


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds; real processes and threads are waited for."""
    with trio.fail_after(15):
        while not holds():
            await trio.testing.wait_all_tasks_blocked(0.01)
