"""Who is alive: agents by immutable id, found by handle; spawned, renamed, closed, and back after a restart.

Book `roster` (key: agent id): `spawned` → `session`* / `renamed`* → `closed`. State is keyed by id; an old handle
stays an alias until a new agent takes it, so a rename strands nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import trio

from aegis.agent import Agent
from aegis.bus import Bus
from aegis.callers import Caller
from aegis.clock import Clock, new_id, stamp
from aegis.driver import Driver, Profile, Seat
from aegis.errors import LaunchError, NotFound, Refused, listed, nearest
from aegis.events import Fault
from aegis.interceptors import Interceptors
from aegis.ledger import Ledger, Record
from aegis.mail import Post
from aegis.processes import MARK, sweep
from aegis.supervise import Supervisor

_HANDLE, _LONGEST = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+){0,2}\Z"), 40
_OPENING = 4  # CLIs that may start at the same time


class Roster:
    """Every agent of the project that is not closed."""

    def __init__(
        self,
        *,
        root: Path,
        state: Path,
        ledger: Ledger,
        post: Post,
        bus: Bus,
        clock: Clock,
        interceptors: Interceptors,
        supervisor: Supervisor,
        nursery: trio.Nursery,
        profile: Callable[[str], tuple[Profile, Driver]],
        environment: dict[str, str],
    ) -> None:
        self.root, self._state, self.book, self.post, self.bus, self.clock = (
            root,
            state,
            ledger.book("roster"),
            post,
            bus,
            clock,
        )
        self.interceptors, self.nursery = interceptors, nursery
        self.opening = trio.CapacityLimiter(_OPENING)
        self._ledger, self._supervisor, self._profile, self._environment = ledger, supervisor, profile, environment
        self._agents: dict[str, Agent] = {}
        self._handles: dict[str, str] = {}

    # -- finding ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Agent]:
        return iter(list(self._agents.values()))

    def known(self) -> set[str]:
        """Return every handle that leads to an agent, those of renamed ones too."""
        return set(self._handles)

    def live(self) -> set[str]:
        """Return the handles of the living."""
        return {a.handle for a in self._agents.values()}

    def get(self, agent_id: str) -> Agent | None:
        """Return the agent with this id, or None when it is closed or never was."""
        return self._agents.get(agent_id)

    def find(self, handle: str) -> Agent:
        """Return the agent now or formerly of this handle; raises `NotFound` naming the living."""
        agent = self._agents.get(self._handles.get(handle.removeprefix("agent:"), ""))
        if agent is None:
            raise NotFound(f"no agent {handle!r} is alive (live: {listed(self.live())}).{nearest(handle, self.live())}")
        return agent

    def label(self, address: str) -> str:
        """Return how people call this address: an agent's handle, or the address itself."""
        agent = self._agents.get(address)
        return agent.handle if agent else address

    def caller(self, agent: Agent) -> Caller:
        """Return the agent as a caller; what it does now belongs to the trace of the turn it is in."""
        turn, verbs = agent.turn, agent.profile.verbs
        trace, hops = (turn.trace, turn.hops) if turn else ("", 0)
        return Caller("agent", agent.handle, agent.id, trace, hops, tuple(verbs) if verbs is not None else None)

    # -- coming and going ---------------------------------------------------------------------------------------

    async def spawn(self, profile_name: str, handle: str, by: str = "system") -> Agent:
        """Return a live agent whose session is open; raises `LaunchError` or `Refused` and then nothing is left."""
        profile, driver = self._profile(profile_name)
        self._check(handle, self.live())
        agent = self._make(new_id(), handle, profile_name, profile, driver, stamp(self.clock.now()), by)
        await self.book.append("spawned", agent.id, handle=handle, profile=profile_name, by=by, born=agent.born)
        self._start(agent)
        try:
            await agent.opened.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await self.close(agent, "the spawn was cancelled")
            raise
        if agent.state == "failed":
            reason = agent.reason
            await self.close(agent, reason)
            raise LaunchError(f"no {profile_name!r} agent was started: {reason}")
        return agent

    @staticmethod
    def _check(handle: str, taken: set[str]) -> None:
        if not _HANDLE.match(handle) or len(handle) > _LONGEST:
            raise Refused(
                f"{handle!r} is not a handle: one to three words of a-z and 0-9, joined by '-', at most {_LONGEST}"
            )
        if handle in taken:
            raise Refused(f"the handle {handle!r} is taken (live: {listed(taken)})")

    def _make(
        self, agent_id: str, handle: str, name: str, profile: Profile, driver: Driver, born: str, by: str
    ) -> Agent:
        box = self.post.mailbox(agent_id, handle)
        box.label = handle
        agent = Agent(agent_id, handle, name, profile, driver, self, box, born, by)
        box.cut_in = lambda: self.nursery.start_soon(agent.interrupt)
        self._agents[agent_id] = agent
        self._handles[handle] = agent_id
        return agent

    def _start(self, agent: Agent) -> None:
        def down(why: str) -> None:
            agent.mailbox.closed = f"its task crashed: {why}"
            agent.show("failed", why)
            agent.opened.set()

        self._supervisor.start(f"agent:{agent.id}", agent.run, on_down=down)

    async def close(self, agent: Agent, reason: str = "closed") -> None:
        """End the agent for good: its process is gone, its waiting mail is dead, its senders know."""
        agent.mailbox.closed = agent.leaving = reason
        await self._supervisor.stop(f"agent:{agent.id}")
        if self._agents.pop(agent.id, None):
            await self.book.append("closed", agent.id, reason=reason)
            await self.post.bury(self.post.letters(agent.id), reason)
            agent.show("closed", reason)
            await self.interceptors.tell("agent_closed", agent.id)

    async def leave(self) -> None:
        """End every agent's session, all at once; the agents come back with the next kernel."""
        async with trio.open_nursery() as nursery:
            for agent in self:
                nursery.start_soon(self._supervisor.stop, f"agent:{agent.id}")

    async def rename(self, agent: Agent, handle: str) -> None:
        """Give the agent another handle; the old one goes on leading to it."""
        self._check(handle, self.live() - {agent.handle})
        await self.book.append("renamed", agent.id, handle=handle)
        agent.handle = agent.mailbox.label = handle
        self._handles[handle] = agent.id
        agent.show()

    async def furnish(self, agent: Agent) -> Seat:
        """Return the agent's seat, with what every plugin wants it to have."""
        cwd = (self.root / (agent.profile.cwd or ".")).resolve()
        folder = self._state / "seats" / agent.id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        env = self._environment | agent.profile.env | {MARK: agent.id, "AEGIS_HANDLE": agent.handle}
        primer = [agent.profile.prompt] if agent.profile.prompt else []
        refuse: Any = None  # `start` and `ask` are the agent's own and set by it
        seat = Seat(
            agent.id, agent.handle, agent.profile, cwd, folder, refuse, refuse, agent.resume, env, primer=primer
        )
        await self.interceptors.tell("furnish", seat)
        return seat

    # -- after a restart ----------------------------------------------------------------------------------------

    async def restore(self, report: Callable[[Fault], None]) -> None:
        """Bring back every agent that was not closed; those with mail start at once, the others when some comes."""
        open_agents = self._replay()
        await trio.to_thread.run_sync(sweep, set(open_agents))  # CLIs that outlived a killed kernel
        for agent_id, seen in open_agents.items():
            try:
                profile, driver = self._profile(seen["profile"])
            except Refused as error:
                report(Fault(f"agent:{seen['handle']}", f"cannot come back: {error}"))
                self.post.mailbox(agent_id, seen["handle"]).closed = str(error)
                continue
            agent = self._make(agent_id, seen["handle"], seen["profile"], profile, driver, seen["born"], seen["by"])
            agent.session_id = seen.get("session_id", "")
            agent.opened.set()
        orphans = [x for x in self.post.letters() if self._closed(x.envelope.recipient, open_agents)]
        for letter in orphans:  # the last kernel ended between closing an agent and telling its senders
            self.post.mailbox(letter.envelope.recipient).closed = "it was closed"
        await self.post.bury([x for x in orphans if x.state == "accepted"], "it was closed")
        for agent in self:
            self._start(agent)
            agent.show()

    @staticmethod
    def _closed(address: str, open_agents: Mapping[str, object]) -> bool:
        return not address.startswith("human:") and address not in open_agents

    def _replay(self) -> dict[str, dict[str, Any]]:
        state, records = self.book.replay()
        agents: dict[str, dict[str, Any]] = state or {}
        for record in records:
            self._fold(agents, record)
            if handle := record.data.get("handle"):  # former handles still lead to their agent
                self._handles[handle] = record.key
        return agents

    @staticmethod
    def _fold(agents: dict[str, dict[str, Any]], record: Record) -> None:
        match record.kind:
            case "spawned":
                agents[record.key] = dict(record.data)
            case "session" | "renamed" if record.key in agents:
                agents[record.key] |= record.data
            case "closed":
                agents.pop(record.key, None)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return the faces of the living, oldest first."""
        return [a.snapshot() for a in sorted(self, key=lambda a: a.id)]
