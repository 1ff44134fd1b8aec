"""The workspace of the last time: agents that sleep since aegis was left."""

from __future__ import annotations

import msgspec

from aegis import Caller, Kernel, report, verb
from aegis.agent import Agent
from aegis.bus import Subscription
from aegis.events import AgentChanged
from aegis_inbox.messages import PEOPLE, Handle

_UP, _DOWN = ("idle", "working"), ("failed", "closed")


class Reopened(msgspec.Struct, frozen=True):
    """What became of one agent: `resumed`, `restarted with transcript`, `restarted`, `new`, or `skipped: why`."""

    handle: str
    profile: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.handle} {self.outcome}"


class Workspace:
    """The verb that wakes those who sleep."""

    name = "workspace"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @verb("reopen", callers=PEOPLE, positional=("handle",))
    async def reopen(self, caller: Caller, handle: Handle = "") -> list[Reopened]:
        """Open the sessions of agents that sleep, all or one, and say what became of each.

        An agent sleeps after aegis was restarted or its CLI died, until mail comes. One whose CLI cannot go on with the
        former conversation begins a new one, and reads the record of the old one first.
        """
        roster = self._kernel.roster
        chosen = [roster.find(handle)] if handle else sorted(roster, key=lambda a: a.id)
        sleeping = {a.id: a for a in chosen if a.state == "stopped"}
        done: dict[str, Reopened] = {}
        with self._kernel.bus.subscribe(lossless=True) as news:
            for agent in sleeping.values():
                agent.mailbox.wake()
            await self._watch(news, sleeping, done)
        lost = [] if handle else [Reopened(h, "", f"skipped: {why}") for h, why in roster.absent.items()]
        return [*(done[x] for x in sleeping), *lost]

    async def _watch(self, news: Subscription, sleeping: dict[str, Agent], done: dict[str, Reopened]) -> None:
        begun: set[str] = set()  # before that, one that is stopped is only shown again
        while len(done) < len(sleeping):
            for agent_id, events in await anext(news):
                for face in (e.agent for e in events if isinstance(e, AgentChanged)):
                    if agent_id not in sleeping or agent_id in done:
                        break
                    state = face["state"]
                    if state == "starting":
                        begun.add(agent_id)
                    elif state in _UP or state in _DOWN or agent_id in begun:
                        outcome = face["began"] if state in _UP else f"skipped: {face['reason'] or state}"
                        done[agent_id] = Reopened(face["handle"], face["profile"], outcome)
                        report(str(done[agent_id]))
