"""A stage with two agents that echo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import aegis_inbox.plugin
import aegis_records.plugin
from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin


@dataclass
class Stage:
    """A kernel, its echo driver, and who calls."""

    kernel: Kernel
    echo: EchoPlugin

    async def call(self, verb: str, caller: Caller | Agent | None = None, /, **args: Any) -> Any:
        """Call a verb as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller or Caller("human", "anna"), verb, args)

    async def spawn(self, handle: str, by: Agent | None = None) -> Agent:
        """Start an echo agent."""
        caller = self.kernel.roster.caller(by) if by else Caller("human", "anna")
        return await self.kernel.roster.spawn("echo", handle, caller)

    def session(self, agent: Agent) -> Any:
        """Return the agent's session in the echo driver."""
        return self.echo.driver.sessions[agent.id]


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(echo: EchoPlugin) -> Mapping[str, object]:
    return {"echo": echo, "inbox": aegis_inbox.plugin, "records": aegis_records.plugin}


@pytest.fixture
async def stage(kernel: Kernel, echo: EchoPlugin) -> Stage:
    return Stage(kernel, echo)
