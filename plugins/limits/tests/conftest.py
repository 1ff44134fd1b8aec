"""A stage with agents that echo, and every member that agents could fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import aegis_canvas.plugin
import aegis_group.plugin
import aegis_inbox.plugin
import aegis_limits.plugin
import aegis_queue.plugin
import aegis_reducers.plugin
import aegis_terminal.plugin
import aegis_workflow.plugin
from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.testing.echo import EchoPlugin
from aegis.testing.vouches import Vouches

ANNA = Caller("human", "anna")


@dataclass
class Stage:
    """A kernel and who calls."""

    kernel: Kernel

    async def call(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller, verb, args)

    async def spawn(self, handle: str) -> Agent:
        """Start an echo agent, as a person."""
        await self.call("spawn", agent="echo", handle=handle)
        return self.kernel.roster.find(handle)


@pytest.fixture
def limits(project) -> Callable[..., None]:
    """Write a configuration with these limits."""

    def write(**keys: int) -> None:
        lines = "".join(f"  {key}: {value}\n" for key, value in keys.items()) or "  {}\n"
        (project / ".aegis.yaml").write_text(
            f"agents:\n  echo: {{provider: echo, permission: full}}\nqueues:\n  one: {{agent: echo}}\nlimits:\n{lines}"
        )

    write()
    return write


@pytest.fixture
def echo() -> EchoPlugin:
    return EchoPlugin()


@pytest.fixture
def plugins(limits, echo) -> Mapping[str, object]:
    return {
        "echo": echo, "inbox": aegis_inbox.plugin, "limits": aegis_limits.plugin, "vouches": Vouches(),
        "queue": aegis_queue.plugin, "canvas": aegis_canvas.plugin, "group": aegis_group.plugin,
        "terminal": aegis_terminal.plugin, "workflow": aegis_workflow.plugin, "reducers": aegis_reducers.plugin,
    }  # fmt: skip


@pytest.fixture
async def stage(kernel) -> Stage:
    return Stage(kernel)
