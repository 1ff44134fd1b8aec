"""Leave to use a tool: what the profile's permission decides by itself, before anyone is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aegis import Decision, PermissionRequest
from aegis.driver import Permission
from aegis.events import ToolKind

PLANE = "aegis"  # the name of our own MCP server, whose verbs the kernel itself governs
GOVERNED = Decision("allowed", "the verbs of aegis are governed by aegis")
GOVERNING = frozenset({".aegis", ".aegis.yaml"})  # by these an agent would give itself leave
_CHANGES: frozenset[ToolKind] = frozenset({"edit", "delete", "move", "execute", "switch_mode"})


def verb(request: PermissionRequest) -> bool:
    """Return whether this is a verb of aegis; in plan mode the CLI asks although we said that they are allowed."""
    return request.tool.startswith(f"mcp__{PLANE}__")


def decided(permission: Permission, request: PermissionRequest, folder: Path) -> Decision | None:
    """Return what the permission says of the request of an agent in this folder; None when somebody is to be asked."""
    if permission == "full":
        return Decision("allowed", "the profile's permission is full")
    if permission == "read" and request.kind in _CHANGES:
        why = f"this agent's permission is read: it may look, and {request.tool} does more than that"
        return Decision("denied", why)
    if permission == "write" and request.kind == "edit" and request.paths and _ordinary(folder, request.paths):
        return Decision("allowed", "the profile's permission is write, and this is an edit inside its folder")
    return None


def _ordinary(folder: Path, paths: Sequence[str]) -> bool:
    """Return whether all are files in the folder, links followed, and none is of aegis's own settings or state."""
    home = folder.resolve()
    try:
        found = [Path(path).resolve().relative_to(home) for path in paths]
    except (OSError, ValueError, RuntimeError):  # outside, or a path that is none
        return False
    # A disk that does not tell upper case from lower would take `.AEGIS.yaml` for the same file.
    return not any(part.casefold() in GOVERNING for path in found for part in path.parts)
