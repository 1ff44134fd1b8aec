"""Agents: who is here, who comes and goes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from aegis import Caller, Completes, Kernel, Receipt, Refused, verb
from aegis.agent import Agent
from aegis_inbox.handles import fresh_handle
from aegis_inbox.messages import PEOPLE, PERSON, Handle, sent

ProfileName = Annotated[str, Completes("profile")]


class Spawned(msgspec.Struct, frozen=True, omit_defaults=True):
    """A new agent, and the receipt of its first message if it was given one."""

    handle: str
    profile: str
    provider: str
    id: str
    receipt: Receipt | None = None

    def __str__(self) -> str:
        return f"{self.handle} is here ({self.profile})" + (f"; {self.receipt}" if self.receipt else "")


class Session(msgspec.Struct, frozen=True):
    """One line of `aegis sessions`."""

    handle: str
    profile: str
    state: str
    queued: int
    turns: int
    cost_usd: float
    provider: str
    model: str
    reason: str
    notes: dict[str, str]
    expecting: dict[str, str]
    you: bool = False


class Agents:
    """The verbs on agents."""

    name = "agents"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @verb("spawn", tool="aegis_spawn", positional=("agent",))
    async def spawn(self, caller: Caller, agent: ProfileName, prompt: str = "", handle: str = "") -> Spawned:
        """Start an agent of a profile and return its handle; with a prompt, that is its first message.

        The handle is made up (`lucid-knuth`) unless you give one. Fails with the CLI's own words if it does not start.
        """
        roster = self._kernel.roster
        handle = _free(handle) or fresh_handle(roster.live() | roster.known())
        made = await roster.spawn(agent, handle, by=caller.agent_id or str(caller))
        receipt = await self._kernel.post.deliver(sent(self._kernel, caller, made.id, prompt)) if prompt else None
        return Spawned(made.handle, made.profile_name, made.profile.provider, made.id, receipt)

    @verb("close", tool="aegis_close", destructive=True)
    async def close(self, caller: Caller, handle: Handle) -> str:
        """End an agent for good: its process is gone, mail that waited for it is returned to its senders as dead."""
        agent = self._mine(caller, handle, "close")
        waiting = len(self._kernel.post.letters(agent.id))
        await self._kernel.roster.close(agent, f"closed by {caller}")
        return f"{agent.handle} is closed" + (f"; {waiting} of its messages are dead letters" if waiting else "")

    @verb("rename", tool="aegis_rename")
    async def rename(self, caller: Caller, old_handle: Handle, new_handle: str) -> str:
        """Give an agent another handle; the old one goes on leading to it, and it is told."""
        agent = self._mine(caller, old_handle, "rename")
        before = agent.handle
        await self._kernel.roster.rename(agent, _free(new_handle))
        if caller.agent_id != agent.id:
            note = f"Your handle is now {new_handle} (it was {before}); {caller} renamed you."
            await self._kernel.post.deliver(self._kernel.post.envelope("system", agent.id, note))
        return f"{before} is now {new_handle}"

    @verb("interrupt", tool="aegis_interrupt")
    async def interrupt(self, caller: Caller, handle: Handle) -> str:
        """Stop the turn an agent is in; messages that wait for it become its next turn."""
        agent = self._mine(caller, handle, "interrupt")
        return f"{agent.handle} was interrupted" if await agent.interrupt() else f"{agent.handle} is not in a turn"

    @verb("restart", callers=PEOPLE)
    async def restart(self, caller: Caller, handle: Handle) -> str:
        """Let an agent that has failed take mail again; its next message starts its CLI anew."""
        agent = self._kernel.roster.find(handle)
        if agent.state != "failed":
            raise Refused(f"{agent.handle} has not failed; it is {agent.state}")
        self._kernel.roster.revive(agent)
        return f"{agent.handle} takes mail again"

    @verb("sessions", tool="aegis_list_sessions", read_only=True)
    async def sessions(self, caller: Caller) -> list[Session]:
        """List the agents that are alive: handle, profile, state, how many messages wait, turns, cost."""
        fields = Session.__struct_fields__
        faces: list[dict[str, Any]] = self._kernel.roster.snapshot()
        return [Session(**{k: f[k] for k in fields if k in f}, you=f["id"] == caller.agent_id) for f in faces]

    @verb("agents", tool="aegis_list_agents", read_only=True)
    async def agents(self, caller: Caller) -> list[str]:
        """List the profiles of which an agent can be spawned."""
        return self._kernel.config.names()

    def _mine(self, caller: Caller, handle: str, what: str) -> Agent:
        agent = self._kernel.roster.find(handle)
        if caller.kind == "agent" and caller.agent_id not in (agent.id, agent.by):
            raise Refused(f"{caller} may {what} itself and agents it spawned; {agent.handle} is neither. Ask a person.")
        return agent


def _free(handle: str) -> str:
    """Return the handle; raises `Refused` for one that means the person, whom no agent may stand in for."""
    if handle in PERSON:
        raise Refused(f"{handle!r} is what agents call the person; take another handle")
    return handle
