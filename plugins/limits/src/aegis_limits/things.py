"""How many terminals, canvases, groups and workflow runs an agent may have, and all agents together."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, NamedTuple

import trio

from aegis import Caller, Kernel, NotFound, Refused
from aegis.verbs import VerbCall
from aegis_limits.rates import agent_behind
from aegis_limits.settings import LimitsSettings


class Kind(NamedTuple):
    """Things that a verb makes; the names of those there are come from the completer of that word."""

    completer: str
    argument: str
    plural: str


_TERMINAL, _CANVAS = Kind("terminal", "name", "terminals"), Kind("canvas", "name", "canvases")
_GROUP = Kind("group", "group", "groups")
_MADE_BY = {
    "term spawn": _TERMINAL,
    "canvas open": _CANVAS,
    "group spawn": _GROUP,
    "group spawn-mixed": _GROUP,
    "group add": _GROUP,
    "group move-member": Kind("group", "to_group", "groups"),
}
_RUNNING = ("running", "needs attention")
_LONGEST = 3_600  # seconds a call may go on, as one that asks a person does


class Making(NamedTuple):
    """A thing that is being made; not every call that was refused is heard of again."""

    who: str
    plural: str
    name: str
    at: float


class Things:
    """Knows which agent made what since aegis was started."""

    name = "limits-things"
    order = 900  # after policy: what is refused makes nothing

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel, self._settings = kernel, settings
        self._made: dict[tuple[str, str], set[str]] = {}  # agent and kind → names
        self._making: dict[str, Making] = {}  # by call

    @property
    def _now(self) -> LimitsSettings:
        section: LimitsSettings = self._settings["limits"]  # as it is now
        return section

    def before_verb(self, call: VerbCall) -> Awaitable[None] | None:
        """Refuse a thing that is one too many."""
        who = agent_behind(call.caller)
        makes = call.verb == "workflow run" or call.verb in _MADE_BY
        return self._count(call, who) if who and makes else None

    async def _count(self, call: VerbCall, who: str) -> None:
        if call.verb == "workflow run":
            await self._check_runs(call.caller)
        if kind := _MADE_BY.get(call.verb):
            name, there = str(call.args.get(kind.argument)), set(self._kernel.verbs.completions(kind.completer))
            if kind.completer == "group":
                await self._check_members(call, name if name in there else "")
            if name not in there:
                self._check(who, kind, there)
                self._making[call.id] = Making(who, kind.plural, name, trio.current_time())

    def _check(self, who: str, kind: Kind, there: set[str]) -> None:
        now = trio.current_time()
        self._making = {call: m for call, m in self._making.items() if now - m.at < _LONGEST}
        coming = {m.name for m in self._making.values() if m.plural == kind.plural}
        made = self._made.get((who, kind.plural), set()) & there
        made |= {m.name for m in self._making.values() if (m.who, m.plural) == (who, kind.plural)}
        own, all_ = f"max_{kind.plural}_by_agent", f"max_{kind.plural}"
        if len(made) >= (most := getattr(self._now, own)):
            raise Refused(f"you have {len(made)} {kind.plural} (limits.{own} is {most}); use one of them")
        if len(there | coming) >= (most := getattr(self._now, all_)):
            raise Refused(f"there are {len(there | coming)} {kind.plural} (limits.{all_} is {most}); use one of them")

    async def _check_members(self, call: VerbCall, group: str) -> None:
        more = len(call.args.get("profiles") or ()) or 1
        there = 0
        if group:
            args = {"group": group}
            try:
                there = len(
                    (await self._kernel.verbs.call(call.caller.through("limits"), "group status", args)).members
                )
            except NotFound:
                return
        if there + more > (most := self._now.max_group_members):
            raise Refused(
                f"{group or 'the group'} would have {there + more} members (limits.max_group_members is {most})"
            )

    async def _check_runs(self, caller: Caller) -> None:
        rows = await self._kernel.verbs.call(Caller("limits", "runs"), "workflow runs", {"count": 200})
        own = [row for row in rows if row.by == str(caller) and row.status in _RUNNING]
        if len(own) >= (most := self._now.max_runs_by_agent):
            raise Refused(
                f"{len(own)} of your workflows are not over (limits.max_runs_by_agent is {most}); wait for one"
            )

    def after_verb(self, call: VerbCall, value: Any, error: Exception | None) -> None:
        """Remember what was made, by whom."""
        if (made := self._making.pop(call.id, None)) and error is None:
            self._made.setdefault((made.who, made.plural), set()).add(made.name)

    def agent_closed(self, agent_id: str) -> None:
        """Forget whose its things were: they stay."""
        self._made = {key: names for key, names in self._made.items() if key[0] != agent_id}
