"""Opening the sessions of agents, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aegis import Kernel, Refused, report
from aegis.agent import INTERRUPTED, Agent
from aegis.bus import Subscription
from aegis.events import AgentChanged

_UP, _DOWN = ("idle", "working"), ("failed", "closed")


class Reopened(msgspec.Struct, frozen=True):
    """What became of one agent: `resumed`, `restarted with transcript`, `restarted`, `new`, or `skipped: why`."""

    handle: str
    profile: str
    outcome: str

    @property
    def exit_code(self) -> int:
        """How a shell ends that opened it: 1 when it is not open."""
        return int(self.outcome.startswith("skipped"))

    def __str__(self) -> str:
        return f"{self.handle} {self.outcome}"


async def reopened(kernel: Kernel, agents: Iterable[Agent]) -> list[Reopened]:
    """Wake these agents, which sleep, and return what became of each once all are up or have failed."""
    sleeping = {agent.id: agent for agent in agents}
    done: dict[str, Reopened] = {}
    with kernel.bus.subscribe(lossless=True, only=(AgentChanged,)) as news:
        for agent in sleeping.values():
            agent.mailbox.wake()
        await _watch(news, sleeping, done)
    return [done[agent_id] for agent_id in sleeping]


async def restarted(kernel: Kernel, agent: Agent, why: str) -> Reopened:
    """End the agent's session, start it again, and return what became of it; raises `Refused` when it is closed."""
    if agent.state != "failed":
        agent.end_reason = why
        await kernel.supervisor.stop(f"agent:{agent.id}")
        agent.end_reason, agent.to_sleep = INTERRUPTED, ""
        if agent.mailbox.closed:
            raise Refused(f"{agent.handle} cannot be restarted: {agent.mailbox.closed}")
    kernel.roster.begin([agent])
    return (await reopened(kernel, [agent]))[0]


async def _watch(news: Subscription, sleeping: dict[str, Agent], done: dict[str, Reopened]) -> None:
    begun: set[str] = set()  # before that, one that is stopped is only shown again
    while len(done) < len(sleeping):
        for agent_id, events, _ in await anext(news):
            for view in (e.agent for e in events if isinstance(e, AgentChanged)):
                if agent_id not in sleeping or agent_id in done:
                    break
                state = view["state"]
                if state == "starting":
                    begun.add(agent_id)
                elif state in _UP or state in _DOWN or agent_id in begun:
                    outcome = view["began"] if state in _UP else f"skipped: {view['reason'] or state}"
                    done[agent_id] = Reopened(view["handle"], view["profile"], outcome)
                    report(str(done[agent_id]))
