"""One table of modes, and whose tool it is: plain values in, a plain answer out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from aegis_permission.governing import delicate, in_state, place

Other = Literal["other"]
K = TypeVar("K", bound=str)
Mode = Literal["read", "write", "full", "auto"]
HARMLESS = frozenset({"read", "search", "think"})


class Answer(NamedTuple):
    """What a mode answers by itself, and why."""

    outcome: Literal["allowed", "denied"]
    reason: str


def decide(mode: Mode, tool: str, kind: str, paths: Sequence[str], folder: Path) -> Answer | None:
    """Return what the mode says of a tool that an agent in this folder wants; None when a person is to be asked.

    `kind` is a word of the Agent Client Protocol: `read`, `edit`, `execute`, ….
    """
    if in_state(folder, paths):
        return Answer("denied", "what aegis keeps in .aegis/state is for no agent, whatever its permission")
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


def inside(folder: Path, paths: Sequence[str]) -> bool:
    """Return whether every path is in the folder."""
    home = folder.resolve()
    return all((found := place(folder, path)) and found.is_relative_to(home) for path in paths)
