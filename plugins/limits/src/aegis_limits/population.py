"""How many agents are alive, who started them, and how many names one has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aegis import Caller, Kernel, Refused
from aegis_limits.rates import agent_behind
from aegis_limits.settings import LimitsSettings

_ENDS = "close one that is done (aegis_close), or do the work yourself"


class Population:
    """Counts the living before one more is started."""

    name = "limits-population"
    order = 1_000  # the last one asked: nothing waits between this and the new agent's place among the living

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel, self._settings = kernel, settings

    @property
    def _now(self) -> LimitsSettings:
        section: LimitsSettings = self._settings["limits"]  # as it is now
        return section

    def before_spawn(self, by: Caller, profile: str, handle: str) -> None:
        """Refuse one more agent than may be alive; without a handle it is only asked whether the profile may be."""
        if not handle:
            return
        living = list(self._kernel.roster)
        if len(living) >= self._now.max_agents_in_all:
            raise Refused(f"{len(living)} agents are alive (limits.max_agents_in_all); close some: aegis close HANDLE")
        who = agent_behind(by)
        if not who or "queue" in by.via:  # how many workers a queue has is its own setting
            return
        own = [a for a in living if agent_behind(a.started_by) == who and "queue" not in a.started_by.via]
        if len(own) >= self._now.max_spawned_by_agent:
            handles = ", ".join(a.handle for a in own)
            raise Refused(
                f"{by} has {len(own)} agents alive ({handles}; limits.max_spawned_by_agent is "
                f"{self._now.max_spawned_by_agent}); {_ENDS}"
            )
        if len(living) >= self._now.max_agents:
            raise Refused(
                f"{len(living)} agents are alive, and agents start no more then (limits.max_agents is "
                f"{self._now.max_agents}); {_ENDS}, or ask a person"
            )

    def before_rename(self, by: Caller, agent_id: str, handle: str) -> None:
        """Refuse one more handle for an agent that has had many: every old one goes on leading to it."""
        roster = self._kernel.roster
        if agent_behind(by) and handle not in roster.known():
            had = sum(roster.find(known).id == agent_id for known in roster.known())
            if had >= self._now.max_handles:
                raise Refused(
                    f"it has had {had} handles (limits.max_handles is {self._now.max_handles}); keep this one"
                )
