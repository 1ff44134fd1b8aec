"""`plane status`: what people can ask about the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aegis import Caller, verb
from aegis.errors import listed

if TYPE_CHECKING:
    from aegis_mcp.service import Plane


class PlaneStatus(msgspec.Struct, frozen=True):
    """The plane at one moment: which agents connected since their CLI started, what runs, and what was refused."""

    url: str
    connected: list[str]
    missing: list[str]
    calls: list[str]
    tickets: list[str]
    refused: dict[str, int]

    def __str__(self) -> str:
        refused = listed(f"{why}: {count}" for why, count in self.refused.items())
        return "\n".join([
            f"plane      {self.url}",
            f"connected  {listed(self.connected)}",
            f"missing    {listed(self.missing)}",
            f"calls      {listed(self.calls)}",
            f"tickets    {listed(self.tickets)}",
            f"refused    {refused}",
        ])  # fmt: skip


class PlaneVerbs:
    """The verbs of the plane itself."""

    name = "plane"

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    @verb("plane status", read_only=True, for_={"person"})
    async def status(self, caller: Caller) -> PlaneStatus:
        """Show where agents connect, which did, what they are calling, and how many requests were refused."""
        plane, roster = self._plane, self._plane.kernel.roster
        came = plane.presence.connected()
        calls = list(plane.server_run.calls) if plane.server_run else []
        return PlaneStatus(
            url=plane.url if plane.server_run else "",
            connected=sorted(a.handle for a in roster if a.id in came),
            missing=sorted(a.handle for a in roster if a.id not in came and a.state in ("idle", "working")),
            calls=sorted(f"{roster.label(c.agent_id)} {c.verb}" for c in calls if not c.ticket),
            tickets=sorted(f"{roster.label(c.agent_id)} {c.verb} {c.ticket}" for c in calls if c.ticket),
            refused=dict(plane.refused),
        )
