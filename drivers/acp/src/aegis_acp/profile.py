"""The keys of a profile whose agent speaks ACP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from aegis import Profile
from aegis.driver import Permission
from aegis_acp.figures import Counts, Figures, Lasts


class AcpProfile(Profile):
    """A profile with `provider: acp`; shims derive theirs from it."""

    provider: str = Field("acp", description="which driver runs it")
    command: list[str] = Field(default_factory=list, description="how the agent is started here, ACP on its pipes")
    args: list[str] = Field(default_factory=list, description="further arguments for it")
    mode_map: dict[Permission, str] = Field(
        default_factory=dict, description="the agent's own mode for each permission, set when a session begins"
    )
    asks: bool = Field(
        False, description="it asks before everything that changes something, whatever its own settings say"
    )
    options: dict[str, str] = Field(default_factory=dict, description="its configuration options, by their ids")
    usage_counts: Counts | None = Field(
        None, description="what the usage it answers a prompt with counts, where that is not the whole turn"
    )
    cost_counts: Lasts | None = Field(
        None, description="where the total it costs begins: with the session, as it should, or with its process"
    )
    meta: dict[str, Any] = Field(
        default_factory=dict, description="what it is told beside the protocol when a session begins: its `_meta`"
    )

    def figures(self, known: Figures) -> Figures:
        """Return what the agent's figures count: what the profile says, else what is known of such an agent."""
        return replace(known, usage=self.usage_counts or known.usage, cost=self.cost_counts or known.cost)
