"""The keys of an OpenCode profile."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aegis_acp.profile import AcpProfile


class OpenCodeProfile(AcpProfile):
    """A profile with `provider: opencode`."""

    provider: Literal["opencode"] = Field("opencode", description="which driver runs it")
    command: list[str] = Field(["opencode"], min_length=1, description="how OpenCode is started here")
    config: dict[str, Any] = Field(default_factory=dict, description="OpenCode's own configuration, merged into yours")
