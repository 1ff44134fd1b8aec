"""One table of modes, the files that are more than files, and whose tool it is: plain values in, a plain answer out."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar
from unicodedata import category, normalize

Other = Literal["other"]
K = TypeVar("K", bound=str)
Mode = Literal["read", "write", "full", "auto"]
HARMLESS = frozenset({"read", "search", "think"})
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


class Answer(NamedTuple):
    """What a mode answers by itself, and why."""

    outcome: Literal["allowed", "denied"]
    reason: str


def decide(mode: Mode, tool: str, kind: str, paths: Sequence[str], folder: Path) -> Answer | None:
    """Return what the mode says of a tool that an agent in this folder wants; None when a person is to be asked.

    `kind` is a word of the Agent Client Protocol: `read`, `edit`, `execute`, ….
    """
    if mode == "full":
        return Answer("allowed", "the profile's permission is full")
    if mode == "read" and kind not in HARMLESS:
        why = f"this agent's permission is read: it may look, and {tool} does more than that ({kind})"
        return Answer("denied", why)
    if not inside(folder, paths):
        return None
    edits = mode == "write" and kind == "edit" and paths and not delicate(folder, paths)
    if edits or kind in HARMLESS:
        return Answer("allowed", f"the profile's permission is {mode}: it may {kind} inside its folder")
    return None


def presume(mode: Mode, tool: str, kind: K, paths: Sequence[str], folder: Path) -> tuple[K | Other, Answer | None]:
    """Return the kind as rules see it, and what the mode says: to `write`, a delicate file is no mere edit."""
    if mode == "write" and kind == "edit" and delicate(folder, paths):
        return "other", decide(mode, tool, "other", paths, folder)
    return kind, decide(mode, tool, kind, paths, folder)


def ours(tool: str, prefixes: Iterable[str], tools: Container[str]) -> bool:
    """Return whether it is exactly one of these tools as a provider spells it: a prefix, then the name."""
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

    Of a file in the agent's folder only the way from there counts; a link counts by its own name and by what it is.
    """
    parts = (_plain(part) for path in paths for way in _ways(folder, path) for part in way.parts)
    return not all(place(folder, path) for path in paths) or not names.isdisjoint(parts)


def _ways(folder: Path, path: str) -> list[Path]:
    """Return the path, from the folder if it lies there: all links followed, as it is written, and after each link."""
    homes = (folder, folder.resolve())
    ways = [(homes[1] / path).resolve(), homes[1] / path]
    while len(ways) < 40 and (link := next(filter(os.path.islink, (*reversed(ways[-1].parents), ways[-1])), None)):
        ways.append(link.parent / link.readlink() / ways[-1].relative_to(link))
    return [next((way.relative_to(home) for home in homes if way.is_relative_to(home)), way) for way in ways]


def _plain(name: str) -> str:
    """Return the name as the most tolerant of disks compares it: neither case nor characters that nobody sees count."""
    return "".join(c for c in normalize("NFKC", name) if category(c) != "Cf").casefold()
