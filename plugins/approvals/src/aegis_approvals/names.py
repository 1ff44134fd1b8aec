"""Rules hold for a handle or a profile: no agent may take a name that has leave of its own."""

from __future__ import annotations

from contextlib import suppress

from aegis import Kernel, NotFound, Refused
from aegis.verbs import VerbCall
from aegis_approvals.rulebook import Rulebook

_TAKEN_BY = {"spawn": "handle", "rename": "new_handle"}
_BOUND = frozenset({"agent", "peer"})


class Names:
    """Refuses agents the handles that rules speak of, and the names of profiles; people give them as they like."""

    name = "names"
    timeout = 1
    strict = True  # a failure here must not be a way to somebody else's leave

    def __init__(self, kernel: Kernel, rules: Rulebook) -> None:
        self._kernel, self._rules = kernel, rules

    async def before_verb(self, call: VerbCall) -> None:
        """Raise `Refused` when an agent would come by the rules of another through its handle."""
        wanted = str(call.args.get(_TAKEN_BY.get(call.verb, "")) or "")
        if call.caller.kind not in _BOUND or not wanted or self._its_own(call, wanted):
            return
        if wanted in self._kernel.config.names() or any(rule.agent == wanted for rule in self._rules.rules):
            raise Refused(
                f"the name {wanted!r} decides what an agent may do unasked, in rules of .aegis.yaml or as a profile; "
                "take another handle, or ask a person to give you this one"
            )

    def _its_own(self, call: VerbCall, wanted: str) -> bool:
        with suppress(NotFound):  # its former handle, whose rules have followed it
            return self._kernel.roster.find(wanted) is self._kernel.roster.find(str(call.args.get("old_handle", "")))
        return False
