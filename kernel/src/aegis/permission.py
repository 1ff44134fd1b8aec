"""What an agent may do without a person: one table of modes, the files that are more than files, and what is ours."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import category, normalize

from aegis.driver import Decision, Permission, PermissionRequest
from aegis.events import ToolKind
from aegis.secrets import Redactor

HARMLESS: frozenset[ToolKind] = frozenset({"read", "search", "think"})
GOVERNING = frozenset({".aegis", ".aegis.yaml"})  # who writes there gives itself permission
DELICATE = GOVERNING | frozenset({
    # what git, shells and editors run
    ".git", ".gitconfig", ".gitmodules", ".husky", ".pre-commit-config.yaml", ".config", ".ssh", ".envrc", ".ripgreprc",
    ".profile", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".inputrc",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".vscode", ".idea", ".devcontainer",
    # the agents' own settings
    ".mcp.json", ".claude", ".claude.json", ".gemini", ".opencode", "opencode.json", "opencode.jsonc", ".codex",
    ".qwen", ".cursor",
})  # fmt: skip
GOVERNED = Decision("allowed", "the verbs of aegis are governed by the profile's `verbs`")


def prejudged(
    request: PermissionRequest, mode: Permission, folder: Path, redactor: Redactor | None = None
) -> PermissionRequest:
    """Return the request as people and rules see it, with what the mode says of it.

    To `write`, an edit of a delicate file is no mere edit. A verb of aegis that asks is not allowed by any mode.
    """
    if redactor:  # the driver knows the real input
        request = replace(request, title=redactor.text(request.title), input=redactor.data(request.input))
    if mode == "write" and request.kind == "edit" and delicate(folder, request.paths):
        request = replace(request, kind="other")
    said = request.presumed or decide(mode, request, folder)
    return replace(request, presumed=None if said and said.allowed and request.verb else said)


def decide(mode: Permission, request: PermissionRequest, folder: Path) -> Decision | None:
    """Return what the mode says of the request of an agent in this folder; None when a person is to be asked."""
    kind = request.kind
    if mode == "full":
        return Decision("allowed", "the profile's permission is full")
    if mode == "read" and kind not in HARMLESS:
        why = f"this agent's permission is read: it may look, and {request.tool} does more than that ({kind})"
        return Decision("denied", why)
    if not inside(folder, request.paths):
        return None
    edits = mode == "write" and kind == "edit" and request.paths and not delicate(folder, request.paths)
    if edits or kind in HARMLESS:
        return Decision("allowed", f"the profile's permission is {mode}: it may {kind} inside its folder")
    return None


def ours(request: PermissionRequest, prefixes: Iterable[str], tools: Container[str]) -> bool:
    """Return whether its tool is exactly one of the plane's as a provider spells it: a prefix, then the name.

    A shell command, whose name may be the model's own words, is never of kind `other`.
    """
    if request.kind != "other" or request.verb:
        return False
    tool = request.tool
    return any(tool.startswith(prefix) and tool[len(prefix) :] in tools for prefix in prefixes)


def place(folder: Path, path: str) -> Path | None:
    """Return the file a path of an agent in this folder stands for, links followed; None if it may be another."""
    if path.startswith("~") or "://" in path:  # some CLIs expand it, some do not
        return None
    try:
        return (folder.resolve() / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a path that is none
        return None


def inside(folder: Path, paths: Sequence[str]) -> bool:
    """Return whether every path is in the folder."""
    home = folder.resolve()
    return all((found := place(folder, path)) and found.is_relative_to(home) for path in paths)


def delicate(folder: Path, paths: Sequence[str], names: frozenset[str] = DELICATE) -> bool:
    """Return whether one of the paths is, or lies in, what others take orders from; True also for an unclear path.

    Of a file in the agent's folder only the way from there counts: a folder may itself lie in `.config`.
    """
    home = folder.resolve()
    for path in paths:
        found = place(folder, path)
        if found is None:
            return True
        way = found.relative_to(home) if found.is_relative_to(home) else found
        if not names.isdisjoint(map(_plain, way.parts)):
            return True
    return False


def _plain(name: str) -> str:
    """Return the name as the most tolerant of disks compares it: neither case nor characters that nobody sees count."""
    return "".join(c for c in normalize("NFKC", name) if category(c) != "Cf").casefold()
