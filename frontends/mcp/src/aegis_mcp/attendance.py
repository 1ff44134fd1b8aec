"""Which agents' CLIs have found their way to the plane, and who has been waited for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from aegis.agent import Agent

SOURCE = "mcp"  # whose remark it is that stands beside the agent


class Attendance:
    """One expectation for each session of an agent's CLI."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._expected: dict[str, trio.Event] = {}
        self._missed: dict[str, Agent] = {}

    def expect(self, agent_id: str) -> None:
        """Wait for the agent anew: its CLI is about to start."""
        self._expected[agent_id] = trio.Event()

    def arrived(self, agent_id: str) -> None:
        """Take note of a request with the agent's secret."""
        if agent_id in self._expected:
            self._expected[agent_id].set()
        if missed := self._missed.pop(agent_id, None):
            missed.note(SOURCE, "")

    def leave(self, agent_id: str) -> None:
        """Expect nothing more of an agent that is gone."""
        self._expected.pop(agent_id, None)
        self._missed.pop(agent_id, None)

    def connected(self) -> set[str]:
        """Return the ids of the agents that came since their CLI was last started."""
        return {agent_id for agent_id, event in self._expected.items() if event.is_set()}

    async def watch(self, agent: Agent) -> None:
        """Mark the agent unless it comes in time; the mark goes when it comes after all."""
        event = self._expected.get(agent.id)
        if event is None:
            return
        with trio.move_on_after(self._patience):
            await event.wait()
        if not event.is_set() and self._expected.get(agent.id) is event and agent.state in ("idle", "working"):
            self._missed[agent.id] = agent
            agent.note(SOURCE, f"has not connected to the plane within {self._patience:g} s: it has no aegis tools")
