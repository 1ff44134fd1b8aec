"""What a profile's permission mode answers by itself, for every provider alike."""

from __future__ import annotations

from pathlib import Path

from aegis import Decision, PermissionRequest, Seat

_HARMLESS = frozenset({"read", "search", "think", "switch_mode"})
_EDITS = frozenset({"edit", "delete", "move"})
_OURS = ("mcp__aegis__", "mcp_aegis_", "aegis_")  # how CLIs call the plane's tools


class Modes:
    """`read` changes nothing, `write` edits inside the agent's folder, `full` does all; `auto` asks a person."""

    name = "modes"
    order = -100

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision | None:
        """Return the mode's decision, or None where it leaves the request to others."""
        mode = seat.profile.permission
        if request.tool.startswith(_OURS):
            return Decision("allowed", "aegis's own verbs are governed by the profile's `verbs`")
        if mode == "full":
            return Decision("allowed", "the profile's permission is full")
        inside = _inside(seat.cwd, request)
        if request.kind in _HARMLESS and inside:
            return Decision("allowed", f"permission {mode} may {request.kind} inside its folder")
        if mode == "read" and request.kind not in _HARMLESS:
            return Decision("denied", f"the profile's permission is read: it may not {request.kind}")
        if mode == "write" and request.kind in _EDITS and request.paths and inside:
            return Decision("allowed", f"permission write may {request.kind} inside its folder")
        return None


def _inside(cwd: Path, request: PermissionRequest) -> bool:
    root = cwd.resolve()
    return all((root / path).resolve().is_relative_to(root) for path in request.paths)
