"""Who is in which group: agents are hired and join all at once or not at all, and leave without a trace."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import trio

from aegis import AegisError, Caller, Kernel, Refused
from aegis.clock import new_id
from aegis.ledger import Draft
from aegis_group.shelf import Shelf
from aegis_group.values import Group, Member

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*\Z")
_LONGEST = 40


class Roll:
    """The members of every group; also the interceptor that hears of agents that are gone."""

    name = "group"

    def __init__(self, kernel: Kernel, shelf: Shelf) -> None:
        self._kernel, self._shelf = kernel, shelf
        self._joining = trio.Lock()  # a label is free until it is on disk

    async def tidy(self) -> None:
        """Close who was to be closed when aegis stopped, and take out members that were closed unnoticed."""
        for one in list(self._shelf.closing):
            await self.close(one, "its group is no more")
        gone = {m.agent for g in self._shelf.groups.values() for m in g.members.values()}
        for agent_id in gone - {agent.id for agent in self._kernel.roster}:
            if self._kernel.roster.label(agent_id) not in self._kernel.roster.absent:
                await self.agent_closed(agent_id)

    async def agent_closed(self, agent_id: str) -> None:
        """Take an agent that is gone out of its groups; a group without members is no more."""
        self._shelf.closing.discard(agent_id)
        for group in self._shelf.of(agent_id):
            for member in list(group.members.values()):
                if member.agent == agent_id:
                    await self.remove(self._shelf.groups[group.id], member, "it was closed")

    # -- who may ---------------------------------------------------------------------------------------------------

    def own(self, caller: Caller, group: Group) -> Group:
        """Return the group if the caller may use it: a person, who made it, or a member; raises `Refused`."""
        inside = any(member.agent == caller.agent_id for member in group.members.values())
        if caller.class_ == "agent" and caller.agent_id != group.by and not inside:
            raise Refused(f"{group.name} was made by another, and {caller} is not in it. Ask a person.")
        return group

    def may_join(self, caller: Caller, name: str) -> Group | None:
        """Return the group of this name, None if it is to be made; raises `Refused` when the caller may do neither."""
        for group in self._shelf.groups.values():
            if group.name == name:
                return self.own(caller, group)
        self.check(name)
        return None

    async def join(
        self, caller: Caller, name: str, newcomers: Sequence[tuple[str, str]], *together: Draft, preset: str = ""
    ) -> list[Member]:
        """Return the members that these agents (id, profile) are now, in one write with the making of the group."""
        async with self._joining:
            drafts = list(together)
            group = self.may_join(caller, name)
            if group is None:
                group = Group(new_id(), name, caller.agent_id or str(caller), preset=preset)
                drafts.append(self._shelf.draft("created", group.id, **msgspec.to_builtins(group)))
            joined = []
            for agent_id, profile in newcomers:
                label = self._kernel.roster.label(agent_id)
                if any(member.agent == agent_id for member in group.members.values()):
                    raise Refused(f"{label} is in {name} already")
                if self._kernel.roster.get(agent_id) is None:
                    raise Refused(f"{label} was closed before it could join {name}")
                joined.append(member := Member(group.fresh_label(profile), agent_id, profile))
                group = msgspec.structs.replace(group, members={**group.members, member.label: member})
                drafts.append(self._shelf.draft("member_added", group.id, **msgspec.to_builtins(member)))
            await self._shelf.store(*drafts)
        for agent_id, _ in newcomers:
            if self._kernel.roster.get(agent_id) is None:  # closed while the disk worked
                await self.agent_closed(agent_id)
        return joined

    def check(self, name: str) -> None:
        """Raise `Refused` unless a group may be called so."""
        if not _NAME.match(name) or len(name) > _LONGEST:
            raise Refused(f"{name!r} is no name for a group: words of a-z and 0-9 joined by - or _, {_LONGEST} letters")
        if any(group.name == name for group in self._shelf.groups.values()):
            raise Refused(f"there is a group {name!r} already")

    # -- coming and going ------------------------------------------------------------------------------------------

    async def gathered(
        self, caller: Caller, name: str, profiles: Sequence[str], *, preset: str = "", handle: str = ""
    ) -> list[tuple[Member, str]]:
        """Return the members that were started, all at once, with their handles; nobody is left when one fails."""
        hired: dict[int, tuple[str, str]] = {}
        failures: list[AegisError] = []

        async def hire(number: int, profile: str) -> None:
            try:
                hired[number] = await self.spawned(caller, profile, handle)
            except AegisError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()

        try:
            async with trio.open_nursery() as nursery:
                for number, profile in enumerate(profiles):
                    nursery.start_soon(hire, number, profile)
            if failures:
                raise failures[0]
            newcomers = [(hired[number][0], profile) for number, profile in enumerate(profiles)]
            members = await self.join(caller, name, newcomers, preset=preset)
        except BaseException:
            with trio.CancelScope(shield=True):
                for agent_id, _ in hired.values():
                    await self.close(agent_id, "the group could not be gathered")
            raise
        return [(member, hired[number][1]) for number, member in enumerate(members)]

    async def close(self, agent: str, reason: str) -> None:
        """End an agent, if it is alive; `agent` is its id, or the handle it was to have."""
        self._shelf.closing.discard(agent)
        if one := self._kernel.roster.get(agent) or next((a for a in self._kernel.roster if a.handle == agent), None):
            await self._kernel.roster.close(one, reason)

    async def spawned(self, caller: Caller, profile: str, handle: str) -> tuple[str, str]:
        """Return id and handle of an agent that was started for the caller."""
        made = await self._kernel.verbs.call(caller, "spawn", {"agent": profile, "handle": handle})
        return made.id, made.handle

    async def remove(self, group: Group, member: Member, reason: str) -> None:
        """Take a member out of its group."""
        await self._shelf.store(self._shelf.draft("member_removed", group.id, label=member.label, reason=reason))
        await self.drop_empty(group.id)

    async def drop_empty(self, group_id: str) -> None:
        """End the group if nobody is in it."""
        async with self._joining:
            group = self._shelf.groups.get(group_id)
            if group and not group.members:
                await self._shelf.store(self._shelf.draft("dissolved", group_id))
