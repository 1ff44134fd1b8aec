"""The keys of a profile whose agent speaks ACP."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aegis import Profile
from aegis.driver import Permission


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
    meta: dict[str, Any] = Field(
        default_factory=dict, description="what it is told beside the protocol when a session begins: its `_meta`"
    )
