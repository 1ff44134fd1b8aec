"""The plane's section of `.aegis.yaml`."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings

SECTION = "plugins.mcp"


class PlaneSettings(Settings):
    """`plugins.mcp`: the plane's time limits, in seconds. A change counts from the next wait on."""

    notice_after: float = Field(10, gt=0, description="an agent that has not connected by then gets a warning")
    progress_every: float = Field(5, gt=0, description="how often a running call reports progress")
    ticket_after: float = Field(90, gt=0, lt=100, description="a call that takes longer answers with a ticket")
