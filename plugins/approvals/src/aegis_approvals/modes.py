"""What a profile's permission mode allows by itself; the rest is asked of the `permission` interceptors."""

from __future__ import annotations

from pathlib import Path

from aegis.driver import Decision, PermissionRequest, Seat

_HARMLESS = frozenset({"read", "search", "think", "switch_mode"})
_EDITS = frozenset({"edit", "delete", "move"})


def by_mode(seat: Seat, request: PermissionRequest) -> Decision | None:
    """Return the mode's own answer: `read` never changes a thing, `write` edits inside its folder, `full` does all."""
    mode = seat.profile.permission
    if request.tool.startswith(tuple(f"{lead}aegis_" for lead in ("mcp__", "mcp_", ""))):
        return Decision("allowed", "aegis's own verbs are governed by the profile's `verbs`")
    if mode == "full":
        return Decision("allowed", "the profile's permission is full")
    if request.kind in _HARMLESS and _inside(seat.cwd, request):
        return Decision("allowed", f"permission {mode} may {request.kind} inside {seat.cwd.name}")
    if mode == "read" and request.kind not in _HARMLESS:
        return Decision("denied", f"the profile's permission is read: it may not {request.kind}")
    if mode == "write" and request.kind in _EDITS and request.paths and _inside(seat.cwd, request):
        return Decision("allowed", f"permission write may {request.kind} inside {seat.cwd.name}")
    return None


def _inside(cwd: Path, request: PermissionRequest) -> bool:
    root = cwd.resolve()
    return all((cwd / path).resolve().is_relative_to(root) for path in request.paths)
