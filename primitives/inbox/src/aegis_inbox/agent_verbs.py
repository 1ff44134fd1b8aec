"""The verbs on agents: who is here, who comes and goes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pydantic import Field

from aegis import Caller, Completes, Kernel, Receipt, Refused, verb
from aegis.agent import Agent
from aegis.mailbox import Mailbox
from aegis_inbox.default_profile import DefaultProfile
from aegis_inbox.handles import fresh_handle
from aegis_inbox.messages import PERSON, envelope_of
from aegis_inbox.reopening import Reopened, reopened, restarted

Handle = Annotated[str, Completes("handle"), Field(description="handle of the agent")]


class Spawned(msgspec.Struct, frozen=True, omit_defaults=True):
    """A new agent, and the receipt of its first message if it was given one."""

    handle: str
    profile: str
    provider: str
    id: str
    receipt: Receipt | None = None

    def __str__(self) -> str:
        return f"{self.handle} is here ({self.profile})" + (f"; {self.receipt}" if self.receipt else "")


class Renamed(msgspec.Struct, frozen=True):
    """An agent by its former handle and by its new one."""

    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.old} is now {self.new}"


class Closed(msgspec.Struct, frozen=True):
    """An agent that is no more, and how many messages that waited for it are dead letters now."""

    handle: str
    dead_letters: int

    def __str__(self) -> str:
        dead = f"; {self.dead_letters} of its messages are dead letters" if self.dead_letters else ""
        return f"{self.handle} is closed{dead}"


class Session(msgspec.Struct, frozen=True):
    """One line of `aegis sessions`; what `cost_unknown` of its turns cost nobody tells, and it is not in `cost_usd`."""

    handle: str
    profile: str
    state: str
    queued: int
    turns: int
    cost_usd: float | None
    provider: str
    model: str
    reason: str
    notes: dict[str, str]
    expecting: dict[str, str]
    you: bool = False
    cost_unknown: int = 0


class AgentVerbs:
    """Starting, ending and finding agents."""

    name = "agents"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._default = kernel, DefaultProfile(kernel)

    @verb("spawn", tool="aegis_spawn", positional=("agent",))
    async def spawn(
        self,
        caller: Caller,
        agent: Annotated[
            str,
            Completes("profile"),
            Field(description="its profile; without, or `default`: the default agent"),
        ] = "",
        prompt: Annotated[str, Field(description="its first message")] = "",
        handle: Annotated[str, Field(description="how it is called; made up (`lucid-knuth`) when not given")] = "",
    ) -> Spawned:
        """Start an agent and return its handle.

        The default agent is the one that `.aegis.yaml` names, else the first of its profiles, else the first provider
        whose CLI is installed.
        """
        roster, agent = self._kernel.roster, await self._default.meant(agent)
        first = envelope_of(self._kernel, caller, "", prompt)
        if prompt and (why := Mailbox("").full(first, self._kernel.post.limits)):
            raise Refused(why)  # before anybody is started
        handle = self._free(caller, handle) or fresh_handle(roster.live() | roster.known())
        made = await roster.spawn(agent, handle, caller)
        receipt = None
        if prompt:
            receipt = await self._kernel.post.deliver(envelope_of(self._kernel, caller, made.id, prompt))
        return Spawned(made.handle, made.profile_name, made.profile.provider, made.id, receipt)

    @verb("close", tool="aegis_close", destructive=True)
    async def close(self, caller: Caller, handle: Handle) -> Closed:
        """End an agent for good; messages that still wait for it are returned to their senders as dead letters."""
        agent = self._mine(caller, handle, "close")
        waiting = len(self._kernel.post.letters(agent.id))
        await self._kernel.roster.close(agent, f"closed by {caller}")
        return Closed(agent.handle, waiting)

    @verb("rename", tool="aegis_rename")
    async def rename(
        self,
        caller: Caller,
        old_handle: Handle,
        new_handle: Annotated[str, Field(description="its new handle")],
    ) -> Renamed:
        """Give an agent another handle; the old one still reaches it, and the agent is told."""
        agent = self._mine(caller, old_handle, "rename")
        before = agent.handle
        await self._kernel.roster.rename(agent, self._free(caller, new_handle, agent.id), caller)
        if caller.agent_id != agent.id:
            note = f"Your handle is now {new_handle} (it was {before}); {caller} renamed you."
            await self._kernel.post.deliver(self._kernel.post.envelope("system", agent.id, note), short=note)
        return Renamed(before, new_handle)

    @verb("interrupt", tool="aegis_interrupt")
    async def interrupt(self, caller: Caller, handle: Handle) -> str:
        """Stop the turn an agent is in; messages that wait for it become its next turn."""
        agent = self._mine(caller, handle, "interrupt")
        return f"{agent.handle} was interrupted" if await agent.interrupt() else f"{agent.handle} is not in a turn"

    @verb("restart", for_={"person", "program"}, checks=True)
    async def restart(self, caller: Caller, handle: Handle) -> Reopened:
        """Restart an agent: its CLI is ended and started again; it keeps its handle and its mail.

        A turn that it is in is interrupted. An agent that has failed takes mail again.
        """
        return await restarted(self._kernel, self._mine(caller, handle, "restart"), f"restarted by {caller}")

    @verb("sleep", for_={"person", "program"}, positional=("handle", "reason"))
    async def sleep(
        self,
        caller: Caller,
        handle: Handle,
        reason: Annotated[str, Field(description="why, shown beside the agent")] = "",
    ) -> str:
        """Put an idle agent to sleep: its CLI ends, and the agent keeps its conversation and its mail.

        The next message starts it again, as `wake` does.
        """
        agent = self._kernel.roster.find(handle)
        await agent.sleep(reason or f"put to sleep by {caller}")
        return f"{agent.handle} is asleep"

    @verb("wake", for_={"person", "program"})
    async def wake(self, caller: Caller, handle: Handle) -> str:
        """Start the CLI of an agent that is asleep or stopped."""
        agent = self._kernel.roster.find(handle)
        if agent.state not in ("asleep", "stopped"):
            raise Refused(f"{agent.handle} is not asleep; it is {agent.state}")
        agent.mailbox.wake()
        return f"{agent.handle} wakes up"

    @verb("reopen", for_={"person", "program"}, positional=("handle",))
    async def reopen(
        self,
        caller: Caller,
        handle: Annotated[str, Completes("handle"), Field(description="only this agent; all when not given")] = "",
    ) -> list[Reopened]:
        """Open the sessions of agents that are stopped, and say what became of each.

        An agent is stopped after aegis was restarted or its CLI died, until mail comes; one that was put to sleep is
        opened only by its name. One whose CLI cannot go on with the former conversation begins a new one, and reads the
        record of the old one first.
        """
        roster = self._kernel.roster
        chosen = [roster.find(handle)] if handle else sorted(roster, key=lambda a: a.id)
        done = await reopened(
            self._kernel, [a for a in chosen if a.state == "stopped" or (handle and a.state == "asleep")]
        )
        lost = [] if handle else [Reopened(h, "", f"skipped: {why}") for h, why in roster.absent.items()]
        return [*done, *lost]

    @verb("sessions", tool="aegis_list_sessions", read_only=True)
    async def sessions(self, caller: Caller) -> list[Session]:
        """List the agents that are alive: handle, profile, state, how many messages wait, turns, cost."""
        return [_session(agent, caller.agent_id) for agent in sorted(self._kernel.roster, key=lambda a: a.id)]

    @verb("agents", tool="aegis_list_agents", read_only=True)
    async def agents(self, caller: Caller) -> list[str]:
        """List the profiles that an agent can be started of."""
        return self._kernel.config.names()

    def _free(self, caller: Caller, handle: str, own: str = "") -> str:
        """Return the handle; raises `Refused` for an agent that would take the one of a stranger, and its mail."""
        before = self._kernel.roster.former(handle) if handle and caller.agent_id else None
        if before and before != self._kernel.roster.born(own) and before.by.agent_id != caller.agent_id:
            raise Refused(f"{handle!r} was another agent's, and mail for that one goes there; take another handle")
        return _not_the_person(handle)

    def _mine(self, caller: Caller, handle: str, what: str) -> Agent:
        agent = self._kernel.roster.find(handle)
        if caller.agent_id not in ("", agent.id, agent.started_by.agent_id):
            raise Refused(f"{caller} may {what} itself and agents it spawned; {agent.handle} is neither. Ask a person.")
        return agent


def _session(a: Agent, caller_id: str) -> Session:
    """Return the line of an agent; there may be a thousand, so nothing is made that is not shown."""
    unknown = 0 < a.turns == a.cost_unknown
    return Session(
        a.handle, a.profile_name, a.state, len(a.mailbox.waiting), a.turns, None if unknown else a.cost_usd,
        a.profile.provider, a.profile.model or "", a.reason, dict(a.notes), dict(a.expecting), a.id == caller_id,
        a.cost_unknown,
    )  # fmt: skip


def _not_the_person(handle: str) -> str:
    """Return the handle; raises `Refused` for one that means the person: no agent may take its place."""
    if handle in PERSON:
        raise Refused(f"{handle!r} is what agents call the person; take another handle")
    return handle
