"""Leave to use a tool: what the profile's permission decides by itself, and how a decision is said in ACP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aegis import Decision, PermissionRequest
from aegis.driver import Permission
from aegis.events import ToolKind
from aegis_acp.v1 import PermissionOption

CHANGES: frozenset[ToolKind] = frozenset({"edit", "delete", "move", "execute", "switch_mode"})
GOVERNING = frozenset({".aegis", ".aegis.yaml"})
_DELICATE = frozenset({
    ".git", ".gitconfig", ".husky", ".vscode", ".idea", ".bashrc", ".bash_profile", ".profile", ".zshrc", ".zprofile",
    ".mcp.json", ".gemini", ".opencode", "opencode.json", "opencode.jsonc", ".claude", ".codex", ".qwen", ".cursor",
})  # fmt: skip
# How agents name the verbs of aegis; a shell command, whose title is the model's own words, is never of kind `other`.
_VERB = re.compile(r"(?:mcp_{1,2})?aegis_{1,2}\w+\Z")
GOVERNED = Decision("allowed", "the verbs of aegis are governed by aegis")


def verb(request: PermissionRequest) -> bool:
    """Return whether this is a verb of aegis, of which no mode says anything."""
    return request.kind == "other" and bool(_VERB.match(request.tool))


def decided(permission: Permission, request: PermissionRequest, folder: Path) -> Decision | None:
    """Return what the profile's permission says of the request; None when somebody is to be asked."""
    if permission == "full":
        return Decision("allowed", "the profile's permission is full")
    if permission == "read" and request.kind in CHANGES:
        return Decision(
            "denied", f"this agent's permission is read: it may look, and {request.tool} does more than that"
        )
    if permission == "write" and request.kind == "edit" and request.paths and _inside(folder, request.paths):
        return Decision("allowed", "the profile's permission is write, and this is an edit inside its folder")
    return None


def _inside(folder: Path, paths: Sequence[str]) -> bool:
    """Whether all lie in the folder, and none is aegis's own configuration, by which an agent would widen its leave."""
    found = _parts(folder, paths)
    return found is not None and not found & {*GOVERNING, "~"}


def delicate(folder: Path, paths: Sequence[str]) -> bool:
    """Return whether one of these is what an agent, git or a shell takes orders from: to change it is no mere edit."""
    found = _parts(folder, paths)
    return found is None or bool(found & _DELICATE)


def _parts(folder: Path, paths: Sequence[str]) -> set[str] | None:
    """Return every name on the way from the folder to the files, None when one lies outside or is none."""
    home = folder.resolve()
    try:
        found = [(home / path).resolve().relative_to(home) for path in paths]
    except (OSError, ValueError, RuntimeError):
        return None
    return {part.casefold() for path in found for part in path.parts}  # some disks do not tell A from a


def option(decision: Decision, offered: Sequence[PermissionOption], *, ever: bool) -> str:
    """Return the id of the option that says the decision; empty when there is none.

    What is allowed is allowed once: an option that lasts is chosen only if there is nothing to ask `ever`.
    """
    kinds = ("allow_once", "allow_always") if decision.allowed else ("reject_once", "reject_always")
    wanted = kinds if ever or not decision.allowed else kinds[:1]
    by_kind = {o.kind: o.option_id for o in reversed(offered)}
    return next((by_kind[kind] for kind in wanted if kind in by_kind), "")
