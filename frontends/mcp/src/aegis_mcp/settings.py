"""The plane's section of `.aegis.yaml`."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings

SECTION = "plugins.mcp"


class PlaneSettings(Settings):
    """`plugins.mcp`: the plane's limits; times are in seconds. A change counts from the next wait or request on."""

    notice_after: float = Field(10, gt=0, description="an agent that has not connected by then gets a warning")
    progress_every: float = Field(5, gt=0, description="how often a running call reports progress")
    ticket_after: float = Field(90, gt=0, lt=100, description="a call that takes longer answers with a ticket")
    max_connections: int = Field(
        64, ge=4, le=10_000, description="connections of one agent at the same time, and sessions"
    )
    max_silent: int = Field(
        32, ge=2, le=1_000, description="connections whose agent is not known yet; the oldest gives way to a new one"
    )
    header_within: float = Field(10, gt=0, le=3600, description="how long a new connection may take to say whose it is")
    body_within: float = Field(30, gt=0, le=3600, description="how long the body of a request may take to arrive")
    max_body: int = Field(4 * 2**20, ge=65_536, le=2**30, description="bytes of one request's body")
