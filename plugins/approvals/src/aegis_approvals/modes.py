"""What a profile's permission mode answers by itself, kept like every other answer."""

from __future__ import annotations

from aegis import Decision, PermissionRequest, Seat
from aegis_approvals.rulebook import Rulebook
from aegis_approvals.store import Ended, RequestStore


class Modes:
    """Asked before all others: the mode's denials, then deny rules, then what the mode allows.

    What the mode says is in the request already, by `aegis_permission`: the same for every provider.
    """

    name = "modes"
    order = -100
    timeout = None  # what has been written down must be what is answered, however slow the disk
    strict = True  # a failure here must not leave the question to somebody more generous

    def __init__(self, rules: Rulebook, store: RequestStore) -> None:
        self._rules, self._store = rules, store

    async def permission(self, seat: Seat, request: PermissionRequest) -> Decision | None:
        """Return the decision, or None where the request is left to rules that allow and to people."""
        said, ended = request.presumed, None
        by_mode = Ended(said.outcome, said.reason, f"mode {seat.profile.permission}") if said else None
        if by_mode is None or by_mode.outcome == "allowed":
            ended = self._rules.decided(seat, request, "deny")
        ended = ended or by_mode
        return await self._store.finish(self._store.asked(seat, request), ended) if ended else None
