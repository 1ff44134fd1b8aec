"""The verbs on groups and their members."""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio
from pydantic import AliasChoices, Field

from aegis import Caller, Completes, Kernel, NotFound, Refused, verb
from aegis.errors import listed, nearest
from aegis_group.expected import expected
from aegis_group.roll import Roll
from aegis_group.settings import GroupSettings
from aegis_group.shelf import Shelf
from aegis_group.values import Group, Member

GroupName = Annotated[
    str, Completes("group"), Field(validation_alias=AliasChoices("group", "name"), description="which group")
]
Handle = Annotated[str, Completes("handle")]


class Joined(msgspec.Struct, frozen=True):
    """An agent that is now in a group."""

    handle: str
    group: str
    label: str


class Gathered(msgspec.Struct, frozen=True):
    """The agents that are now in a group, by label."""

    group: str
    handles: dict[str, str]


class Face(msgspec.Struct, frozen=True):
    """A group: its members' handles and states by label, what it is asked now, and what asking it may cost."""

    name: str
    members: dict[str, str]
    states: dict[str, str]
    by: str
    open_broadcasts: dict[str, str]
    expected_cost_usd: float | None


class Members:
    """Who is in which group."""

    name = "members"

    def __init__(self, kernel: Kernel, shelf: Shelf, roll: Roll, settings: GroupSettings) -> None:
        self._kernel, self._shelf, self._roll, self._settings = kernel, shelf, roll, settings
        kernel.verbs.complete_with("group", lambda: sorted(g.name for g in shelf.groups.values()))
        kernel.verbs.complete_with("preset", lambda: sorted(settings.presets))

    def restore(self) -> None:
        """Rebuild the groups."""
        self._shelf.restore()

    # -- coming and going ---------------------------------------------------------------------------------------

    @verb("group spawn", tool="aegis_group_spawn")
    async def spawn(
        self, caller: Caller, profile: Annotated[str, Completes("profile")], group: GroupName, handle: str = ""
    ) -> Joined:
        """Start an agent of a profile as a member of a group, which is made if it is not there."""
        self._roll.may_join(caller, group)
        [(member, its)] = await self._roll.gathered(caller, group, [profile], handle=handle)
        return Joined(its, group, member.label)

    @verb("group spawn-mixed", tool="aegis_group_spawn_mixed", positional=("group", "profiles"))
    async def spawn_mixed(
        self,
        caller: Caller,
        group: GroupName,
        profiles: tuple[str, ...] = (),
        preset: Annotated[str, Completes("preset"), Field(description="instead of profiles")] = "",
    ) -> Gathered:
        """Start a member of each profile, or those of a preset of `groups.presets`, at once; all of them or none."""
        if preset and preset not in self._settings.presets:
            known = self._settings.presets
            raise NotFound(f"there is no preset {preset!r} (presets: {listed(known)}).{nearest(preset, known)}")
        wanted = profiles or (self._settings.presets[preset].profiles if preset else ())
        if not wanted or (profiles and preset):
            raise Refused("say either the profiles of the members or a preset")
        for profile in wanted:
            self._kernel.config.profile(profile)
        self._roll.may_join(caller, group)
        hired = await self._roll.gathered(caller, group, wanted, preset=preset)
        return Gathered(group, {member.label: handle for member, handle in hired})

    @verb("group add", tool="aegis_group_add")
    async def add(self, caller: Caller, group: GroupName, handle: Handle) -> Joined:
        """Make an agent that is alive a member of a group, which is made if it is not there."""
        agent = self._kernel.roster.find(handle)
        if caller.class_ == "agent" and caller.agent_id not in (agent.id, agent.by):
            raise Refused(f"{caller} may add itself and agents it spawned; {agent.handle} is neither. Ask a person.")
        [member] = await self._roll.join(caller, group, [(agent.id, agent.profile_name)])
        return Joined(agent.handle, group, member.label)

    @verb("group move-member", tool="aegis_group_move_member")
    async def move(
        self, caller: Caller, handle: Handle, from_group: Annotated[str, Completes("group")],
        to_group: Annotated[str, Completes("group")],
    ) -> Joined:  # fmt: skip
        """Take a member from one group into another, which is made if it is not there."""
        old = self._roll.own(caller, self._shelf.group(from_group))
        member = self._member(old, handle)
        leaves = self._shelf.draft("member_removed", old.id, label=member.label, reason=f"moved to {to_group}")
        [joins] = await self._roll.join(caller, to_group, [(member.agent, member.profile)], leaves)
        await self._roll.drop_empty(old.id)
        return Joined(self._kernel.roster.label(member.agent), to_group, joins.label)

    @verb("group remove", tool="aegis_group_remove")
    async def remove(self, caller: Caller, group: GroupName, handle: Handle) -> str:
        """Take a member out of a group; it lives on."""
        found = self._roll.own(caller, self._shelf.group(group))
        await self._roll.remove(found, self._member(found, handle), f"removed by {caller}")
        return f"{handle} is no longer in {group}"

    @verb("group restart", tool="aegis_group_restart")
    async def restart(self, caller: Caller, group: GroupName, handle: Handle) -> Joined:
        """Close a member and start another of its profile in its place, with nothing in its memory."""
        found = self._roll.own(caller, self._shelf.group(group))
        member = self._member(found, handle)
        new = await self._roll.spawned(caller, member.profile, "")
        fresh = Member(member.label, new[0], member.profile)
        await self._shelf.store(
            self._shelf.draft(
                "member_removed", found.id, label=member.label, reason="restarted", closing=[member.agent]
            ),
            self._shelf.draft("member_added", found.id, **msgspec.to_builtins(fresh)),
        )
        await self._roll.close(member.agent, f"restarted by {caller}")
        return Joined(new[1], found.name, fresh.label)

    @verb("group rename", tool="aegis_group_rename")
    async def rename(self, caller: Caller, old: Annotated[str, Completes("group")], new: str) -> str:
        """Give a group another name."""
        found = self._roll.own(caller, self._shelf.group(old))
        self._roll.check(new)
        await self._shelf.store(self._shelf.draft("renamed", found.id, name=new))
        return f"{old} is now {new}"

    @verb("group dissolve", tool="aegis_group_dissolve", destructive=True)
    async def dissolve(self, caller: Caller, group: GroupName, close_members: bool = True) -> str:
        """End a group, and its members with it unless they are to live on."""
        found = self._roll.own(caller, self._shelf.group(group))
        closing = [member.agent for member in found.members.values()] if close_members else []
        await self._shelf.store(self._shelf.draft("dissolved", found.id, closing=closing))
        async with trio.open_nursery() as nursery:
            for agent_id in closing:
                nursery.start_soon(self._roll.close, agent_id, f"{group} was dissolved by {caller}")
        return f"{group} is dissolved" + (f"; {len(closing)} members are closed" if close_members else "")

    # -- looking ------------------------------------------------------------------------------------------------

    @verb("group status", tool="aegis_group_status", read_only=True)
    async def status(self, caller: Caller, group: GroupName) -> Face:
        """Show a group: its members, what each is doing, and the broadcasts that are open."""
        return self._face(self._shelf.group(group))

    @verb("group list", tool="aegis_group_list", read_only=True)
    async def rows(self, caller: Caller) -> list[Face]:
        """List the groups."""
        return [self._face(group) for group in sorted(self._shelf.groups.values(), key=lambda g: g.name)]

    def _face(self, group: Group) -> Face:
        alive = {label: self._kernel.roster.get(member.agent) for label, member in group.members.items()}
        open_ = {b.id: str(b) for b in self._shelf.open.values() if b.group == group.id}
        handles = {label: agent.handle for label, agent in alive.items() if agent}
        states = {label: agent.state if agent else "lost" for label, agent in alive.items()}
        cost = expected(self._kernel, [agent.id for agent in alive.values() if agent])
        return Face(group.name, handles, states, self._kernel.roster.label(group.by), open_, cost)

    # -- parts --------------------------------------------------------------------------------------------------

    def _member(self, group: Group, handle: str) -> Member:
        if handle in group.members:
            return group.members[handle]
        agent = self._kernel.roster.find(handle)
        for member in group.members.values():
            if member.agent == agent.id:
                return member
        raise NotFound(f"{handle} is not in {group.name} (members: {listed(self._face(group).members.values())})")
