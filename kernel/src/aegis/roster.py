"""Who is alive: agents by immutable id, found by handle; spawned, renamed, closed, and back after a restart."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from aegis.agent import Agent
from aegis.callers import Caller
from aegis.clock import new_id, stamp
from aegis.directory import Directory
from aegis.driver import Driver
from aegis.errors import AegisError, LaunchError, LedgerError, NotFound, Refused, listed, nearest
from aegis.events import ConfigChanged, Fault
from aegis.ledger import Draft
from aegis.registry import acting
from aegis_processes.cancellation import finish_despite_cancel
from aegis_processes.leftovers import Leftovers

if TYPE_CHECKING:
    from aegis.app import Kernel

KERNEL = Caller("system", "aegis")
Store = Callable[[Agent, Draft], Awaitable[object]]


class Roster:
    """Every agent of the project that is not closed."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("roster")
        self._agents: dict[str, Agent] = {}
        self._directory, self.leftovers = Directory(), Leftovers(killed=kernel.project.killed)
        self.born, self.former = self._directory.find, self._directory.former
        self._closing: dict[str, trio.Event] = {}
        self.numbers = self._directory.numbers(kernel.ledger)
        self.absent: dict[str, str] = {}  # handles of those that could not come back, and why

    def __iter__(self) -> Iterator[Agent]:
        return iter(list(self._agents.values()))

    def live(self) -> set[str]:
        """Return the handles of the living."""
        return {a.handle for a in self._agents.values()}

    def known(self) -> set[str]:
        """Return every handle that leads to an agent, those of renamed ones too."""
        return {handle for handle, agent_id in self._directory.handles.items() if agent_id in self._agents}

    def get(self, agent_id: str) -> Agent | None:
        """Return the agent with this id, or None when it is closed or never was."""
        return self._agents.get(agent_id)

    def label(self, address: str) -> str:
        """Return how people call this address: an agent's handle, its last one if it is closed, or the address."""
        return getattr(self._agents.get(address) or self.born(address), "handle", address)

    def find(self, handle: str) -> Agent:
        """Return the agent now or formerly of this handle; raises `NotFound` naming the living."""
        agent = self._agents.get(self._directory.handles.get(handle.removeprefix("agent:"), ""))
        if agent is None:
            raise NotFound(f"no agent {handle!r} is alive (live: {listed(self.live())}).{nearest(handle, self.live())}")
        return agent

    def caller(self, agent: Agent) -> Caller:
        """Return the agent as a caller; what it does now belongs to the trace of the turn it is in."""
        trace, hops = (agent.turn.trace, agent.turn.hops) if agent.turn else ("", 0)
        verbs = agent.profile.verbs
        return Caller("agent", agent.handle, agent.id, trace, hops, None if verbs is None else tuple(verbs))

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the views of the living, oldest first."""
        return [a.snapshot() for a in sorted(self, key=lambda a: a.id)]

    async def spawn(self, profile: str, handle: str, by: Caller = KERNEL, store: Store | None = None) -> Agent:
        """Return a live agent with an open session, `by` whose act; raises `LaunchError`, `Refused`: none is left."""
        # `store` stores its first record, and its first mail with it: whoever is cancelled later has an agent to close.
        profile = profile or self._kernel.config.default_agent
        self._kernel.config.profile(profile)
        await self.may_spawn(by, profile, handle)
        self._directory.check(handle, self.live())
        kept = dict(handle=handle, profile=profile, by=msgspec.to_builtins(by), born=stamp(self._kernel.clock.now()))  # noqa: C408
        agent = self._add(new_id(), **kept)
        first = self._book.draft("spawned", agent.id, **kept)
        try:
            await (store(agent, first) if store else self._kernel.ledger.append(first))
            if agent.id in self._agents and agent.id not in self._closing:
                self._start(agent)
                await agent.opened.wait()
                if not store:  # whoever hears of the agent can count on its session, too
                    await self._kernel.ledger.flush()
        except (AegisError, trio.Cancelled) as error:
            with trio.CancelScope(shield=True):
                if agent.id not in self._directory.open:
                    self._agents.pop(agent.id, None)
                elif not store or isinstance(error, AegisError):
                    await self.close(agent, "the spawn was cancelled")
            raise
        if agent.state == "failed":
            await self.close(agent, reason := agent.reason)
            raise LaunchError(f"no {profile!r} agent was started: {reason}")
        if agent.id not in self._agents or agent.id in self._closing:
            raise Refused(f"{handle} was closed while it started: {agent.end_reason}")
        return agent

    async def may_spawn(self, by: Caller, profile: str, handle: str = "") -> None:
        """Raise `Refused` when the caller must not be why such an agent starts; without policy, an own one."""
        vouched = await self._kernel.interceptors.spawn(by, profile, handle)
        if by.agent_id and not vouched and getattr(self.born(by.agent_id), "profile", None) != profile:
            raise Refused(f"{by} may start agents of its own profile here, and not of {profile!r}")

    def _add(self, agent_id: str, *, handle: str, profile: str, by: Any, born: str, **more: Any) -> Agent:
        settings, driver = self._kernel.config.profile(profile)
        box = self._kernel.post.mailbox(agent_id)
        box.label = handle
        agent = Agent(
            kernel=self._kernel, id=agent_id, handle=handle, profile_name=profile, profile=settings, driver=driver,
            mailbox=box, turns=box.turns, cost_usd=box.cost_usd, cost_unknown=box.cost_unknown,
            started_by=msgspec.convert(by, Caller), born=born, **more,
        )  # fmt: skip
        agent.state, agent.reason = "asleep" if agent.asleep else "stopped", agent.asleep
        box.cut_in = agent.cut_in
        self._agents[agent_id] = agent
        return agent

    def _start(self, agent: Agent) -> None:
        with acting(""):  # whoever asked for it: it stays when that plugin leaves
            self._kernel.supervisor.start(f"agent:{agent.id}", agent.run, on_down=agent.crashed)

    async def close(self, agent: Agent, reason: str = "closed") -> None:
        """End the agent for good: its process is gone, its waiting mail is dead, its senders know.

        Once begun it is done, also when the caller is cancelled, or is the agent's own task. Raises `LedgerError` when
        that could not be stored; the agent is then gone until a restart.
        """
        if agent.id in self._agents and agent.id not in self._closing:
            self._closing[agent.id] = trio.Event()
            agent.mailbox.closed = agent.end_reason = reason
            self._kernel.base.start_soon(self._close, agent, reason)
        if (over := self._closing.get(agent.id)) is not None:
            await over.wait()
        if agent.id in self._directory.open:
            raise LedgerError(f"{agent.handle} is closed, but not on disk: it will be back after a restart")

    async def _close(self, agent: Agent, reason: str) -> None:
        try:
            with trio.CancelScope(shield=True):
                await self._kernel.supervisor.stop(f"agent:{agent.id}")
                closed = self._book.draft("closed", agent.id, reason=reason, handle=agent.handle)
                await self._kernel.post.dead_letter(self._kernel.post.letters(agent.id), reason, closed)
        except LedgerError as error:
            self._kernel.bus.report(Fault(f"agent:{agent.handle}", str(error)))
        finally:
            self._agents.pop(agent.id, None)
            agent.show("closed", reason)
            self._kernel.post.keep_only({*self._agents, *self._directory.open})
            try:
                async with finish_despite_cancel():
                    await trio.to_thread.run_sync(shutil.rmtree, self._kernel.project.state / "seats" / agent.id, True)
                    await self._kernel.interceptors.tell("agent_closed", agent.id)
            finally:
                self._closing.pop(agent.id).set()

    async def stop_all(self) -> None:
        """End every agent's session, all at once; the agents come back with the next kernel."""
        async with trio.open_nursery() as nursery:
            for agent in self:
                nursery.start_soon(self._kernel.supervisor.stop, f"agent:{agent.id}")

    async def rename(self, agent: Agent, handle: str, by: Caller = KERNEL) -> None:
        """Give the agent another handle; the old one goes on leading to it."""
        await self._kernel.interceptors.tell("before_rename", by, agent.id, handle)
        self._directory.check(handle, self.live(), agent.handle)
        before = agent.handle
        agent.handle = agent.mailbox.label = handle  # taken from now on
        try:
            await self._book.append("renamed", agent.id, handle=handle)
        except LedgerError:
            agent.handle = agent.mailbox.label = before
            raise
        agent.show()

    async def follow_config(self) -> None:
        """Have agents say that their profile has changed as soon as it has, until cancelled."""
        with self._kernel.bus.subscribe(only=(ConfigChanged,)) as news:
            async for _ in news:
                for agent in self:
                    agent.follow_profile()

    async def restore(self) -> list[Agent]:
        """Bring back every agent that was not closed and return them, to be started by `begin`."""
        self._directory.restore(self._book)
        await self.leftovers.end(self._directory.open)  # CLIs that outlived a killed kernel
        self.bring_back()
        if late := list(self._kernel.post.keep_only(self._directory.open)):
            await self._kernel.post.dead_letter(late, "it was closed")  # accepted while their agent was closing
        return list(self)

    def bring_back(self) -> list[Agent]:
        """Return those that were absent and can be used now; the others keep their mail and wait for their profile."""
        back = []
        for agent_id, seen in [(i, s) for i, s in self._directory.open.items() if i not in self._agents]:
            try:
                back.append(self._add(agent_id, **seen))
                back[-1].opened.set()
                self.absent.pop(seen["handle"], None)
            except Refused as error:
                if seen["handle"] not in self.absent:
                    self._kernel.bus.report(Fault(f"agent:{seen['handle']}", f"cannot come back: {error}", final=True))
                self.absent[seen["handle"]] = str(error)
        return back

    async def part_with(self, drivers: Collection[Driver]) -> None:
        """End the sessions of these drivers' agents, which are absent until their provider is here again."""
        for agent in [a for a in self if a.driver in drivers]:
            agent.end_reason = gone = f"its provider {agent.driver.name!r} is not here"
            await self._kernel.supervisor.stop(f"agent:{agent.id}")
            if agent.id in self._agents and agent.id not in self._closing:
                self.absent[agent.handle] = gone
                self._agents.pop(agent.id).show("stopped", gone)

    def begin(self, agents: Sequence[Agent]) -> None:
        """Start agents that came back or had failed: those with mail open a session now, others when some comes."""
        for agent in agents:
            if agent.id in self._agents and agent.id not in self._closing:
                agent.mailbox.closed = ""
                agent.show("asleep" if agent.asleep else "stopped", agent.asleep)
                self._start(agent)
