"""The section `plugins.cli`: the control socket."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings

SECTION = "plugins.cli"


class ControlSettings(Settings):
    """`plugins.cli`: how much of the kernel this user's shells, REPLs and scripts may take together."""

    max_connections: int = Field(256, ge=8, le=10_000, description="connections to the control socket at the same time")
    max_silent: int = Field(
        32, ge=2, le=1_000, description="connections that have asked nothing yet; the oldest gives way to a new one"
    )
    speak_within: float = Field(10, gt=0, le=3600, description="seconds in which a new connection must ask something")
    max_request: int = Field(16 * 2**20, ge=65_536, le=2**30, description="bytes of one request")
