"""What a profile's permission mode answers by itself, for every provider alike, and what no rule may be asked about."""

from __future__ import annotations

import re
from pathlib import Path

from aegis import Decision, PermissionRequest, Seat
from aegis_approvals.places import guarded, inside
from aegis_approvals.rulebook import Rulebook
from aegis_approvals.store import Ended, RequestStore

_HARMLESS = frozenset({"read", "search", "think"})
_EDITS = frozenset({"edit", "delete", "move"})
# How CLIs name the plane's tools. A shell command, whose name may be the model's own words, is never of kind `other`.
_OURS = re.compile(r"(?:mcp_{1,2})?aegis_{1,2}\w+")


class Modes:
    """Asked before all others: the mode's denials, then deny rules, then what the mode allows."""

    name = "modes"
    order = -100
    timeout = None  # what has been written down must be what is answered, however slow the disk
    strict = True  # a failure here must not leave the question to somebody more generous

    def __init__(self, root: Path, rules: Rulebook, store: RequestStore) -> None:
        self._root, self._rules, self._store = root, rules, store

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision | None:
        """Return the decision, or None where the request is left to rules that allow and to people.

        What the driver itself holds the agent to is kept like the rest; only a rule that denies is stronger.
        """
        mode = seat.profile.permission
        if request.kind == "other" and _OURS.fullmatch(request.tool):
            return Decision("allowed", "aegis's own verbs are governed by the profile's `verbs`")
        ended = _denied(mode, request) or self._rules.decided(seat, request, "deny")
        ended = ended or self._allowed(seat, request) or _presumed(mode, request, allowed=True)
        return await self._store.finish(self._store.numbered(seat, request), ended) if ended else None

    def _allowed(self, seat: Seat, request: PermissionRequest) -> Ended | None:
        mode, kind = seat.profile.permission, request.kind
        if mode == "full" and not _OURS.fullmatch(request.tool):  # a verb of ours asks when a person must decide
            return Ended("allowed", "the profile's permission is full", "mode full")
        if not inside(seat.cwd, request.paths):
            return None
        writes = mode == "write" and kind in _EDITS and request.paths
        if kind in _HARMLESS or (writes and not guarded(self._root, seat.cwd, request.paths)):
            return Ended("allowed", f"permission {mode} may {kind} inside its folder", f"mode {mode}")
        return None


def _presumed(mode: str, request: PermissionRequest, *, allowed: bool) -> Ended | None:
    said = request.presumed
    return Ended(said.outcome, said.reason, f"mode {mode}") if said and said.allowed is allowed else None


def _denied(mode: str, request: PermissionRequest) -> Ended | None:
    if denied := _presumed(mode, request, allowed=False):
        return denied
    if mode == "read" and request.kind not in _HARMLESS:
        return Ended("denied", f"the profile's permission is read: it may not {request.kind}", "mode read")
    return None
