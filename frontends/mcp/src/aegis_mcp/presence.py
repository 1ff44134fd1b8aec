"""Which agents' CLIs have connected to the plane, and which did not in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from aegis.agent import Agent

SOURCE = "mcp"  # the source of the note on an agent that did not connect


class Presence:
    """Expects one connection for each session of an agent's CLI."""

    def __init__(self, limit: Callable[[], float]) -> None:
        """Expect each agent within `limit()` seconds."""
        self._limit = limit
        self._expected: dict[str, trio.Event] = {}
        self._missed: dict[str, Agent] = {}

    def expect(self, agent_id: str) -> None:
        """Expect the agent again: its CLI is about to start."""
        self._expected[agent_id] = trio.Event()

    def arrived(self, agent_id: str) -> None:
        """Note that a request came with the agent's secret."""
        if agent_id in self._expected:
            self._expected[agent_id].set()
        if missed := self._missed.pop(agent_id, None):
            missed.note(SOURCE, "")

    def forget(self, agent_id: str) -> None:
        """Stop expecting an agent that was closed."""
        self._expected.pop(agent_id, None)
        self._missed.pop(agent_id, None)

    def connected(self) -> set[str]:
        """Return the ids of the agents that connected since their CLI was last started."""
        return {agent_id for agent_id, event in self._expected.items() if event.is_set()}

    async def watch(self, agent: Agent) -> None:
        """Put a note on the agent unless it connects in time; the note goes when it connects after all."""
        event = self._expected.get(agent.id)
        if event is None:
            return
        limit = self._limit()
        with trio.move_on_after(limit):
            await event.wait()
        if not event.is_set() and self._expected.get(agent.id) is event and agent.state in ("idle", "working"):
            self._missed[agent.id] = agent
            agent.note(SOURCE, f"has not connected to the plane within {limit:g} s: it has no aegis tools")
