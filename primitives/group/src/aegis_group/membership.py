"""Who is in which group: members are started all together or not at all, and removed when they close."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Sequence

import msgspec
import trio

from aegis import AegisError, Caller, Kernel, Refused
from aegis.clock import new_id
from aegis.ledger import Draft
from aegis_group.store import Store
from aegis_group.values import Group, Member

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*\Z")
_LONGEST = 40


def is_agents(caller: Caller) -> bool:
    """Return whether an agent is behind the call, also through a workflow or another program."""
    return caller.class_ == "agent" or bool(caller.agent_id)


class Membership:
    """The members of every group; it is also the interceptor that hears of agents that closed."""

    name = "group"

    def __init__(self, kernel: Kernel, store: Store) -> None:
        self._kernel, self._store = kernel, store
        self._joining = trio.Lock()  # a label is taken only once it is on disk

    async def tidy(self) -> None:
        """Close the agents that were to be closed when aegis stopped; remove members that closed in the meantime."""
        for one in list(self._store.closing):
            await self.close(one, "its group was dissolved")
        gone = {m.agent for g in self._store.groups.values() for m in g.members.values()}
        for agent_id in gone - {agent.id for agent in self._kernel.roster}:
            if self._kernel.roster.label(agent_id) not in self._kernel.roster.absent:
                await self._gone(agent_id)

    def agent_closed(self, agent_id: str) -> Awaitable[None] | None:
        """Remove an agent that closed from its groups; a group without members is dissolved."""
        self._store.closing.discard(agent_id)
        return self._gone(agent_id) if any(self._store.of(agent_id)) else None

    async def _gone(self, agent_id: str) -> None:
        for group in self._store.of(agent_id):
            for member in list(group.members.values()):
                if member.agent == agent_id:
                    await self.remove(self._store.groups[group.id], member, "it was closed")

    # -- permission ------------------------------------------------------------------------------------------------

    def own(self, caller: Caller, group: Group) -> Group:
        """Return the group if the caller may use it; agents may use groups that they made or are in.

        Raises `Refused`.
        """
        inside = any(member.agent == caller.agent_id for member in group.members.values())
        if is_agents(caller) and caller.agent_id != group.by and not inside:
            raise Refused(f"{caller} did not make the group {group.name} and is not in it. Ask a person.")
        return group

    def may_join(self, caller: Caller, name: str) -> Group | None:
        """Return the group of this name, None if it has to be created; raises `Refused` when the caller may not."""
        for group in self._store.groups.values():
            if group.name == name:
                return self.own(caller, group)
        self.check(name)
        return None

    async def join(
        self, caller: Caller, name: str, newcomers: Sequence[tuple[str, str]], *together: Draft, preset: str = ""
    ) -> list[Member]:
        """Add these agents (id, profile) to the group, in one write with its creation, and return them as members."""
        async with self._joining:
            drafts = list(together)
            group = self.may_join(caller, name)
            if group is None:
                group = Group(new_id(), name, caller.agent_id or str(caller), preset=preset)
                drafts.append(self._store.draft("created", group.id, **msgspec.to_builtins(group)))
            joined = []
            for agent_id, profile in newcomers:
                label = self._kernel.roster.label(agent_id)
                if any(member.agent == agent_id for member in group.members.values()):
                    raise Refused(f"{label} is in {name} already")
                if self._kernel.roster.get(agent_id) is None:
                    raise Refused(f"{label} was closed before it could join {name}")
                joined.append(member := Member(group.fresh_label(profile), agent_id, profile))
                group = msgspec.structs.replace(group, members={**group.members, member.label: member})
                more = {"group_name": name, **msgspec.to_builtins(member)}  # the group may come with this very write
                drafts.append(self._store.draft("member_added", group.id, **more))
            await self._store.append(*drafts)
        for agent_id, _ in newcomers:
            if self._kernel.roster.get(agent_id) is None:  # closed while the disk worked
                await self._gone(agent_id)
        return joined

    def check(self, name: str) -> None:
        """Raise `Refused` unless a new group may have this name."""
        if not _NAME.match(name) or len(name) > _LONGEST:
            raise Refused(
                f"{name!r} cannot be a group's name: words of a-z and 0-9 joined by - or _, at most {_LONGEST} letters"
            )
        if any(group.name == name for group in self._store.groups.values()):
            raise Refused(f"there is a group {name!r} already")

    # -- starting and closing --------------------------------------------------------------------------------------

    async def gathered(
        self, caller: Caller, name: str, profiles: Sequence[str], *, preset: str = "", handle: str = ""
    ) -> list[tuple[Member, str]]:
        """Start members of these profiles at once and return them with their handles: all of them or none."""
        started: dict[int, tuple[str, str]] = {}
        failures: list[AegisError] = []

        async def start(number: int, profile: str) -> None:
            try:
                started[number] = await self.spawned(caller, profile, handle)
            except AegisError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                for number, profile in enumerate(profiles):
                    nursery.start_soon(start, number, profile)
            if failures:
                raise failures[0]
            newcomers = [(started[number][0], profile) for number, profile in enumerate(profiles)]
            members = await self.join(caller, name, newcomers, preset=preset)
        except BaseException:
            with trio.CancelScope(shield=True):
                for agent_id, _ in started.values():
                    await self.close(agent_id, "another member of its group did not start")
            raise
        return [(member, started[number][1]) for number, member in enumerate(members)]

    async def close(self, agent: str, reason: str) -> None:
        """Close an agent if it exists; `agent` is its id, or the handle it was to have."""
        self._store.closing.discard(agent)
        if one := self._kernel.roster.get(agent) or next((a for a in self._kernel.roster if a.handle == agent), None):
            await self._kernel.roster.close(one, reason)

    async def spawned(self, caller: Caller, profile: str, handle: str) -> tuple[str, str]:
        """Start an agent for the caller and return its id and handle."""
        made = await self._kernel.verbs.call(caller, "spawn", {"agent": profile, "handle": handle})
        return made.id, made.handle

    async def remove(self, group: Group, member: Member, reason: str) -> None:
        """Remove a member from its group."""
        await self._store.append(self._store.draft("member_removed", group.id, label=member.label, reason=reason))
        await self.drop_empty(group.id)

    async def drop_empty(self, group_id: str) -> None:
        """Dissolve the group if it has no member."""
        async with self._joining:
            group = self._store.groups.get(group_id)
            if group and not group.members:
                await self._store.append(self._store.draft("dissolved", group_id))
