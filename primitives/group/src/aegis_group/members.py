"""The verbs on groups and their members."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from pydantic import AliasChoices, Field

from aegis import Caller, Completes, Kernel, NotFound, Refused, verb
from aegis.clock import new_id
from aegis.errors import listed, nearest
from aegis_group.settings import GroupSettings
from aegis_group.shelf import Shelf
from aegis_group.values import Group, Member

GroupName = Annotated[
    str, Completes("group"), Field(validation_alias=AliasChoices("group", "name"), description="which group")
]
Handle = Annotated[str, Completes("handle")]
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*\Z")
_LONGEST = 40


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
    """A group: its members' handles and states by label, and what it is asked now."""

    name: str
    members: dict[str, str]
    states: dict[str, str]
    by: str
    open_broadcasts: list[str]


class Members:
    """Who is in which group."""

    name = "members"

    def __init__(self, kernel: Kernel, shelf: Shelf, settings: GroupSettings) -> None:
        self._kernel, self._shelf, self._settings = kernel, shelf, settings
        kernel.verbs.complete_with("group", lambda: sorted(g.name for g in shelf.groups.values()))
        kernel.verbs.complete_with("preset", lambda: sorted(settings.presets))

    def restore(self) -> None:
        """Rebuild the groups."""
        self._shelf.restore()

    async def tidy(self) -> None:
        """Take out members that were closed when nobody could note it."""
        gone = {m.agent for g in self._shelf.groups.values() for m in g.members.values()}
        for agent_id in gone - {agent.id for agent in self._kernel.roster}:
            if self._kernel.roster.label(agent_id) not in self._kernel.roster.absent:
                await self.agent_closed(agent_id)

    async def agent_closed(self, agent_id: str) -> None:
        """Take an agent that is gone out of its groups; a group without members is no more."""
        for group in self._shelf.of(agent_id):
            for member in list(group.members.values()):
                if member.agent == agent_id:
                    await self._remove(self._shelf.groups[group.id], member, "it was closed")

    # -- coming and going ---------------------------------------------------------------------------------------

    @verb("group spawn", tool="aegis_group_spawn")
    async def spawn(
        self, caller: Caller, profile: Annotated[str, Completes("profile")], group: GroupName, handle: str = ""
    ) -> Joined:
        """Start an agent of a profile as a member of a group, which is made if it is not there."""
        found = await self._made(caller, group)
        member, its = await self._hire(caller, found, profile, handle)
        return Joined(its, found.name, member.label)

    @verb("group spawn-mixed", tool="aegis_group_spawn_mixed", positional=("group", "profiles"))
    async def spawn_mixed(
        self,
        caller: Caller,
        group: GroupName,
        profiles: tuple[str, ...] = (),
        preset: Annotated[str, Completes("preset"), Field(description="instead of profiles")] = "",
    ) -> Gathered:
        """Start a member of each profile, or those of a preset of `groups.presets`; all of them or none."""
        if preset and preset not in self._settings.presets:
            known = self._settings.presets
            raise NotFound(f"there is no preset {preset!r} (presets: {listed(known)}).{nearest(preset, known)}")
        wanted = profiles or (self._settings.presets[preset].profiles if preset else ())
        if not wanted or (profiles and preset):
            raise Refused("say either the profiles of the members or a preset")
        for profile in wanted:
            self._kernel.config.profile(profile)
        found = await self._made(caller, group, preset)
        hired: list[tuple[Member, str]] = []
        try:
            for profile in wanted:
                hired.append(await self._hire(caller, self._shelf.groups[found.id], profile, ""))  # noqa: PERF401
        except Exception:
            for member, _ in hired:
                if agent := self._kernel.roster.get(member.agent):
                    await self._kernel.roster.close(agent, "the group could not be gathered")
            await self._drop_empty(found.id)
            raise
        return Gathered(found.name, {member.label: handle for member, handle in hired})

    @verb("group add", tool="aegis_group_add")
    async def add(self, caller: Caller, group: GroupName, handle: Handle) -> Joined:
        """Make an agent that is alive a member of a group, which is made if it is not there."""
        agent = self._kernel.roster.find(handle)
        if caller.kind == "agent" and caller.agent_id not in (agent.id, agent.by):
            raise Refused(f"{caller} may add itself and agents it spawned; {agent.handle} is neither. Ask a person.")
        found = await self._made(caller, group)
        self._check_new(found, agent.id)
        member = Member(found.fresh_label(agent.profile_name), agent.id, agent.profile_name)
        await self._shelf.store(self._shelf.draft("member_added", found.id, **msgspec.to_builtins(member)))
        return Joined(agent.handle, found.name, member.label)

    @verb("group move-member", tool="aegis_group_move_member")
    async def move(
        self, caller: Caller, handle: Handle, from_group: Annotated[str, Completes("group")],
        to_group: Annotated[str, Completes("group")],
    ) -> Joined:  # fmt: skip
        """Take a member from one group into another, which is made if it is not there."""
        old = self.own(caller, self._shelf.group(from_group))
        member = self._member(old, handle)
        new = await self._made(caller, to_group)
        self._check_new(new, member.agent)
        joins = msgspec.structs.replace(member, label=new.fresh_label(member.profile))
        await self._shelf.store(
            self._shelf.draft("member_removed", old.id, label=member.label, reason=f"moved to {to_group}"),
            self._shelf.draft("member_added", new.id, **msgspec.to_builtins(joins)),
        )
        await self._drop_empty(old.id)
        return Joined(self._kernel.roster.label(member.agent), new.name, joins.label)

    @verb("group remove", tool="aegis_group_remove")
    async def remove(self, caller: Caller, group: GroupName, handle: Handle) -> str:
        """Take a member out of a group; it lives on."""
        found = self.own(caller, self._shelf.group(group))
        await self._remove(found, self._member(found, handle), f"removed by {caller}")
        return f"{handle} is no longer in {group}"

    @verb("group restart", tool="aegis_group_restart")
    async def restart(self, caller: Caller, group: GroupName, handle: Handle) -> Joined:
        """Close a member and start another of its profile in its place, with nothing in its memory."""
        found = self.own(caller, self._shelf.group(group))
        member = self._member(found, handle)
        new = await self._spawned(caller, member.profile, "")
        fresh = Member(member.label, new[0], member.profile)
        await self._shelf.store(
            self._shelf.draft("member_removed", found.id, label=member.label, reason="restarted"),
            self._shelf.draft("member_added", found.id, **msgspec.to_builtins(fresh)),
        )
        if agent := self._kernel.roster.get(member.agent):
            await self._kernel.roster.close(agent, f"restarted by {caller}")
        return Joined(new[1], found.name, fresh.label)

    @verb("group rename", tool="aegis_group_rename")
    async def rename(self, caller: Caller, old: Annotated[str, Completes("group")], new: str) -> str:
        """Give a group another name."""
        found = self.own(caller, self._shelf.group(old))
        self._check(new)
        await self._shelf.store(self._shelf.draft("renamed", found.id, name=new))
        return f"{old} is now {new}"

    @verb("group dissolve", tool="aegis_group_dissolve", destructive=True)
    async def dissolve(self, caller: Caller, group: GroupName, close_members: bool = True) -> str:
        """End a group, and its members with it unless they are to live on."""
        found = self.own(caller, self._shelf.group(group))
        agents = [self._kernel.roster.get(member.agent) for member in found.members.values()]
        await self._shelf.store(self._shelf.draft("dissolved", found.id))
        for agent in filter(None, agents) if close_members else ():
            await self._kernel.roster.close(agent, f"{group} was dissolved by {caller}")
        return f"{group} is dissolved" + (f"; {len(agents)} members are closed" if close_members else "")

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
        open_ = [b.id for b in self._shelf.open.values() if b.group == group.id]
        handles = {label: agent.handle for label, agent in alive.items() if agent}
        states = {label: agent.state if agent else "lost" for label, agent in alive.items()}
        return Face(group.name, handles, states, self._kernel.roster.label(group.by), open_)

    # -- parts --------------------------------------------------------------------------------------------------

    async def _made(self, caller: Caller, name: str, preset: str = "") -> Group:
        for group in self._shelf.groups.values():
            if group.name == name:
                return self.own(caller, group)
        self._check(name)
        made = Group(new_id(), name, caller.agent_id or str(caller), preset=preset)
        await self._shelf.store(self._shelf.draft("created", made.id, **msgspec.to_builtins(made)))
        return self._shelf.groups[made.id]

    def _check_new(self, group: Group, agent_id: str) -> None:
        if any(member.agent == agent_id for member in group.members.values()):
            raise Refused(f"{self._kernel.roster.label(agent_id)} is in {group.name} already")

    def _check(self, name: str) -> None:
        if not _NAME.match(name) or len(name) > _LONGEST:
            raise Refused(f"{name!r} is no name for a group: words of a-z and 0-9 joined by - or _, {_LONGEST} letters")
        if any(group.name == name for group in self._shelf.groups.values()):
            raise Refused(f"there is a group {name!r} already")

    def own(self, caller: Caller, group: Group) -> Group:
        """Return the group if the caller may use it: a person, who made it, or a member; raises `Refused`."""
        inside = any(member.agent == caller.agent_id for member in group.members.values())
        if caller.kind == "agent" and caller.agent_id != group.by and not inside:
            raise Refused(f"{group.name} was made by another, and {caller} is not in it. Ask a person.")
        return group

    def _member(self, group: Group, handle: str) -> Member:
        if handle in group.members:
            return group.members[handle]
        agent = self._kernel.roster.find(handle)
        for member in group.members.values():
            if member.agent == agent.id:
                return member
        raise NotFound(f"{handle} is not in {group.name} (members: {listed(self._face(group).members.values())})")

    async def _hire(self, caller: Caller, group: Group, profile: str, handle: str) -> tuple[Member, str]:
        agent_id, its = await self._spawned(caller, profile, handle)
        member = Member(self._shelf.groups[group.id].fresh_label(profile), agent_id, profile)
        await self._shelf.store(self._shelf.draft("member_added", group.id, **msgspec.to_builtins(member)))
        return member, its

    async def _spawned(self, caller: Caller, profile: str, handle: str) -> tuple[str, str]:
        made = await self._kernel.verbs.call(caller, "spawn", {"agent": profile, "handle": handle})
        return made.id, made.handle

    async def _remove(self, group: Group, member: Member, reason: str) -> None:
        await self._shelf.store(self._shelf.draft("member_removed", group.id, label=member.label, reason=reason))
        await self._drop_empty(group.id)

    async def _drop_empty(self, group_id: str) -> None:
        group = self._shelf.groups.get(group_id)
        if group and not group.members:
            await self._shelf.store(self._shelf.draft("dissolved", group_id))
