"""Which agents an agent may start, and under which names: nobody gets more through another than a person gave."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from aegis import Caller, Kernel, NotFound, Refused
from aegis.errors import listed
from aegis_approvals.rulebook import Rulebook
from aegis_permission.acts import sees_all

_WIDTH = ("read", "auto", "write", "full")  # permissions by what is done without asking anyone


class SpawnPolicy:
    """Agents start what their profile grants, else what may do no more than they do; people start what they like.

    Rules hold for a handle or a profile, so no agent gets a name that decides what may be done unasked.
    """

    name = "spawn-policy"
    timeout = 5
    strict = True  # a failure here must not be a way to somebody else's permission

    def __init__(self, kernel: Kernel, rules: Rulebook) -> None:
        self._kernel, self._rules = kernel, rules

    def before_spawn(self, by: Caller, profile: str, handle: str) -> bool | None:
        """Vouch for what an agent may start; raise `Refused` with what it may, and what a person can grant."""
        self._check_name(by, handle)
        if not by.agent_id:
            return None
        own = born.profile if (born := self._kernel.roster.born(by.agent_id)) else ""
        narrow = not sees_all(self._kernel, by.agent_id)
        if not own or not self.covers(own, profile, narrow=narrow):
            config = self._kernel.config
            may = [name for name in config.names() if own and self.covers(own, name, narrow=narrow)]
            how = f"; a person may grant it: `spawns: [{profile}]` in the profile {own!r}" if own else ""
            who = self._kernel.roster.label(by.agent_id)
            raise Refused(f"{who} may not spawn {profile!r}, only {listed(may, 'nothing')}{how}")
        return True

    def before_rename(self, by: Caller, agent_id: str, handle: str) -> None:
        """Raise `Refused` when an agent would come by the rules of another through its handle."""
        with suppress(NotFound):  # its former handle, whose rules have followed it
            if self._kernel.roster.find(handle).id == agent_id:
                return
        self._check_name(by, handle)

    def _check_name(self, by: Caller, handle: str) -> None:
        if by.agent_id and (handle in self._kernel.config.names() or any(r.agent == handle for r in self._rules.rules)):
            raise Refused(
                f"the name {handle!r} decides what an agent may do unasked, in rules of .aegis.yaml or as a profile; "
                "take another handle, or ask a person to give you this one"
            )

    def covers(self, own: str, other: str, *, narrow: bool = False) -> bool:
        """Return whether an agent of the one profile may start one of the other; a `narrow` one sees only its own."""
        config = self._kernel.config
        ours, theirs = config.profile(own)[0], config.profile(other)[0]
        if ours.spawns is not None:
            return other in ours.spawns
        if theirs.spawns or _WIDTH.index(theirs.permission) > _WIDTH.index(ours.permission):
            return False  # what a person let it spawn may do anything
        if theirs.sees == "all" and (narrow or ours.sees == "own"):
            return False
        here, there = ((config.root / (profile.cwd or ".")).resolve() for profile in (ours, theirs))
        return includes(ours.verbs, theirs.verbs) and (ours.permission == "full" or there.is_relative_to(here))


def includes(ours: Sequence[str] | None, theirs: Sequence[str] | None) -> bool:
    """Return whether our verb patterns (None: all) have every verb that theirs have, whatever plugins bring yet."""
    wide, narrow = (["*"] if patterns is None else patterns for patterns in (ours, theirs))
    return all(any(_within(pattern, wider) for wider in wide) for pattern in narrow)


def _within(pattern: str, wider: str) -> bool:
    # A star in the one is a character that only a star of the other matches; nobody reckons with `?` and `[` so.
    return wider in ("*", pattern) or (fnmatchcase(pattern, wider) and not {*"?["} & {*pattern, *wider})
