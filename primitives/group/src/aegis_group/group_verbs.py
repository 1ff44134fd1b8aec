"""The verbs on groups and their members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import trio
from pydantic import AliasChoices, Field

from aegis import Caller, Completes, Kernel, NotFound, Refused, verb
from aegis.errors import listed, nearest
from aegis_group.cost_estimate import expected_cost
from aegis_group.membership import Membership, is_agents
from aegis_group.settings import GroupSettings, Preset
from aegis_group.store import Store
from aegis_group.values import Group, Member

GroupName = Annotated[
    str, Completes("group"), Field(validation_alias=AliasChoices("group", "name"), description="name of the group")
]
Handle = Annotated[str, Completes("handle"), Field(description="handle of the agent, or its label in the group")]
OldName = Annotated[str, Completes("group"), Field(description="its name now")]


class Joined(msgspec.Struct, frozen=True):
    """An agent that is in a group now."""

    handle: str
    group: str
    label: str


class Gathered(msgspec.Struct, frozen=True):
    """The agents that are in a group now, by label."""

    group: str
    handles: dict[str, str]


class Renamed(msgspec.Struct, frozen=True):
    """A group by its former name and by its new one."""

    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.old} is now {self.new}"


class Removed(msgspec.Struct, frozen=True):
    """An agent that is no longer in a group."""

    handle: str
    group: str

    def __str__(self) -> str:
        return f"{self.handle} is no longer in {self.group}"


class Dissolved(msgspec.Struct, frozen=True):
    """A group that is no more, and the handles of the members that were closed with it."""

    dissolved: str
    closed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.dissolved} is dissolved" + (f"; {len(self.closed)} members are closed" if self.closed else "")


class GroupView(msgspec.Struct, frozen=True):
    """A group: its members' handles and states by label, its open broadcasts, and what asking it may cost."""

    name: str
    members: dict[str, str]
    states: dict[str, str]
    by: str
    open_broadcasts: dict[str, str]
    expected_cost_usd: float | None


class GroupVerbs:
    """Start, add, move and remove members; show, rename and dissolve groups."""

    name = "groups"

    def __init__(self, kernel: Kernel, store: Store, membership: Membership, settings: Mapping[str, Any]) -> None:
        self._kernel, self._store, self._membership, self._settings = kernel, store, membership, settings
        kernel.verbs.complete_with("group", lambda: sorted(g.name for g in store.groups.values()))
        kernel.verbs.complete_with("preset", lambda: sorted(self._presets))

    @property
    def _presets(self) -> dict[str, Preset]:
        section: GroupSettings = self._settings["groups"]  # as it is now: people change it while aegis runs
        return section.presets

    # -- members ------------------------------------------------------------------------------------------------

    @verb("group spawn", tool="aegis_group_spawn")
    async def spawn(
        self, caller: Caller,
        profile: Annotated[str, Completes("profile"), Field(description="profile of the agent to start")],
        group: GroupName,
        handle: Annotated[str, Field(description="its handle; made up when not given")] = "",
    ) -> Joined:  # fmt: skip
        """Start an agent of a profile as a member of a group; a group that does not exist is created."""
        self._membership.may_join(caller, group)
        [(member, its)] = await self._membership.gathered(caller, group, [profile], handle=handle)
        return Joined(its, group, member.label)

    @verb("group spawn-mixed", tool="aegis_group_spawn_mixed", positional=("group", "profiles"))
    async def spawn_mixed(
        self,
        caller: Caller,
        group: GroupName,
        profiles: Annotated[tuple[str, ...], Field(max_length=100, description="profiles, one member of each")] = (),
        preset: Annotated[str, Completes("preset"), Field(description="a preset, instead of profiles")] = "",
    ) -> Gathered:
        """Start several members of a group at once, of these profiles or of a preset; all of them or none.

        Presets are in `groups.presets` of `.aegis.yaml` and in `.aegis/groups/`. A new group is created.
        """
        presets = self._presets
        if preset and preset not in presets:
            raise NotFound(f"there is no preset {preset!r} (presets: {listed(presets)}).{nearest(preset, presets)}")
        wanted = profiles or (presets[preset].profiles if preset else ())
        if not wanted or (profiles and preset):
            raise Refused("give either the profiles of the members or a preset")
        for profile in wanted:
            self._kernel.config.profile(profile)
        there = self._membership.may_join(caller, group)
        if preset and there and there.preset != preset:
            made = f"of the preset {there.preset!r}" if there.preset else "of no preset"
            raise Refused(
                f"the group {group!r} was made {made}; give the profiles, or take another name for {preset!r}"
            )
        started = await self._membership.gathered(caller, group, wanted, preset=preset)
        return Gathered(group, {member.label: handle for member, handle in started})

    @verb("group add", tool="aegis_group_add")
    async def add(self, caller: Caller, group: GroupName, handle: Handle) -> Joined:
        """Add a running agent to a group; a group that does not exist is created."""
        agent = self._kernel.roster.find(handle)
        if is_agents(caller) and not {agent.id, agent.by} & {caller.agent_id, str(caller)}:
            raise Refused(f"{caller} may add itself and agents it spawned; {agent.handle} is neither. Ask a person.")
        [member] = await self._membership.join(caller, group, [(agent.id, agent.profile_name)])
        return Joined(agent.handle, group, member.label)

    @verb("group move-member", tool="aegis_group_move_member")
    async def move(
        self, caller: Caller, handle: Handle,
        from_group: Annotated[str, Completes("group"), Field(description="the group it is in")],
        to_group: Annotated[str, Completes("group"), Field(description="the group it moves to")],
    ) -> Joined:  # fmt: skip
        """Move a member from one group to another; a group that does not exist is created."""
        old = self._membership.own(caller, self._store.group(from_group))
        member = self._member(old, handle)
        removed = self._store.draft("member_removed", old.id, label=member.label, reason=f"moved to {to_group}")
        [joined] = await self._membership.join(caller, to_group, [(member.agent, member.profile)], removed)
        await self._membership.drop_empty(old.id)
        return Joined(self._kernel.roster.label(member.agent), to_group, joined.label)

    @verb("group remove", tool="aegis_group_remove")
    async def remove(self, caller: Caller, group: GroupName, handle: Handle) -> Removed:
        """Remove a member from a group; the agent goes on."""
        found = self._membership.own(caller, self._store.group(group))
        await self._membership.remove(found, self._member(found, handle), f"removed by {caller}")
        return Removed(handle, group)

    @verb("group restart", tool="aegis_group_restart")
    async def restart(self, caller: Caller, group: GroupName, handle: Handle) -> Joined:
        """Restart a member of a group: its CLI is ended and started again; it keeps its handle and its mail.

        A turn that it is in is interrupted. A member that has failed takes mail again.
        """
        found = self._membership.own(caller, self._store.group(group))
        member = self._member(found, handle)
        label = self._kernel.roster.label(member.agent)
        await self._kernel.verbs.call(caller.through("group"), "restart", {"handle": label})
        return Joined(label, found.name, member.label)

    @verb("group rename", tool="aegis_group_rename")
    async def rename(
        self, caller: Caller, old: OldName, new: Annotated[str, Field(description="the new name")]
    ) -> Renamed:
        """Rename a group."""
        found = self._membership.own(caller, self._store.group(old))
        self._membership.check(new)
        await self._store.append(self._store.draft("renamed", found.id, name=new))
        return Renamed(old, new)

    @verb("group dissolve", tool="aegis_group_dissolve", destructive=True)
    async def dissolve(
        self, caller: Caller, group: GroupName,
        close_members: Annotated[bool, Field(description="close the members, too; else they go on")] = True,
    ) -> Dissolved:  # fmt: skip
        """Dissolve a group and close its members."""
        found = self._membership.own(caller, self._store.group(group))
        closing = [member.agent for member in found.members.values()] if close_members else []
        self._check_closes(caller, found, closing)
        handles = tuple(self._kernel.roster.label(agent_id) for agent_id in closing)
        await self._store.append(self._store.draft("dissolved", found.id, closing=closing))
        async with trio.open_nursery() as nursery:
            for agent_id in closing:
                nursery.start_soon(self._membership.close, agent_id, f"{group} was dissolved by {caller}")
        return Dissolved(group, handles)

    def _check_closes(self, caller: Caller, group: Group, closing: list[str]) -> None:
        """Raise `Refused` when an agent would close through the group whom it may not close by itself."""
        agents = [agent for one in closing if (agent := self._kernel.roster.get(one))]
        others = [a.handle for a in agents if caller.agent_id not in ("", a.id, a.started_by.agent_id)]
        if others:
            raise Refused(
                f"{caller} may close itself and agents it spawned, and {listed(others)} in {group.name} are neither; "
                "dissolve it with close_members=false, or ask a person"
            )

    # -- views --------------------------------------------------------------------------------------------------

    @verb("group status", tool="aegis_group_status", read_only=True)
    async def status(self, caller: Caller, group: GroupName) -> GroupView:
        """Show a group: its members, what each is doing, and its open broadcasts."""
        return await self._view(self._store.group(group))

    @verb("group list", tool="aegis_group_list", read_only=True)
    async def rows(self, caller: Caller) -> list[GroupView]:
        """List the groups, each with its members and open broadcasts."""
        return [await self._view(group) for group in sorted(self._store.groups.values(), key=lambda g: g.name)]

    async def _view(self, group: Group) -> GroupView:
        alive = {label: self._kernel.roster.get(member.agent) for label, member in group.members.items()}
        open_ = {b.id: str(b) for b in self._store.open.values() if b.group == group.id}
        handles = {label: agent.handle for label, agent in alive.items() if agent}
        states = {label: agent.state if agent else "lost" for label, agent in alive.items()}
        cost = await expected_cost(self._kernel, [agent.id for agent in alive.values() if agent])
        return GroupView(group.name, handles, states, self._kernel.roster.label(group.by), open_, cost)

    # -- parts --------------------------------------------------------------------------------------------------

    def _member(self, group: Group, handle: str) -> Member:
        if handle in group.members:
            return group.members[handle]
        agent = self._kernel.roster.find(handle)
        for member in group.members.values():
            if member.agent == agent.id:
                return member
        there = listed(self._kernel.roster.label(member.agent) for member in group.members.values())
        raise NotFound(f"{handle} is not in {group.name} (members: {there})")
