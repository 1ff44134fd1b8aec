"""When a wait has enough answers: each rule says how the broadcast ends, and whose answer decided it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from aegis import Refused
from aegis_group.values import Broadcast
from aegis_patterns.pattern import Pattern, PatternError

Ready = Callable[[Broadcast], Awaitable[tuple[str, str]]]  # how it ends (empty: not yet), and the deciding label


async def never(broadcast: Broadcast) -> tuple[str, str]:
    """No answer ends it before all are there."""
    return "", ""


async def first(broadcast: Broadcast) -> tuple[str, str]:
    """One answer is enough."""
    return ("any", broadcast.done[0].label) if broadcast.done else ("", "")


def quorum(count: int, veto: str = "", *, same: bool = False) -> Ready:
    """Return the rule that `count` answers (with the `same` text) are enough, or one that `veto` matches.

    Raises `Refused` when `veto` is not a regular expression. The rule does when an answer is too long for it.
    """
    try:
        against = Pattern(veto) if veto else None
    except PatternError as error:
        raise Refused(f"veto is not a regular expression: {error}") from None
    passed: set[str] = set()  # labels whose answers are no veto: each is searched once

    async def enough(broadcast: Broadcast) -> tuple[str, str]:
        for reply in broadcast.done if against else ():
            if reply.label in passed:
                continue
            try:
                if against and await against.found_in(reply.text):
                    return "veto", reply.label
            except PatternError as error:
                raise Refused(f"the answer of {reply.label} cannot be searched for the veto: {error}") from None
            passed.add(reply.label)
        votes = Counter(reply.text.strip() if same else "" for reply in broadcast.done)
        return ("quorum", "") if max(votes.values(), default=0) >= count else ("", "")

    return enough
