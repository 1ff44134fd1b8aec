"""When a wait has enough answers: each rule says how the broadcast ends, and whose answer decided it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from aegis import Refused
from aegis_group.values import Broadcast

Ready = Callable[[Broadcast], tuple[str, str]]  # how it ends (empty: not yet), and the label of the deciding member


def first(broadcast: Broadcast) -> tuple[str, str]:
    """One answer is enough."""
    return ("any", broadcast.done[0].label) if broadcast.done else ("", "")


def quorum(count: int, veto: str = "", *, same: bool = False) -> Ready:
    """Return the rule that `count` answers (with the `same` text) are enough, or one that `veto` matches.

    Raises `Refused` when `veto` is not a regular expression.
    """
    try:
        against = re.compile(veto) if veto else None
    except re.error as error:
        raise Refused(f"veto is not a regular expression: {error}") from None

    def enough(broadcast: Broadcast) -> tuple[str, str]:
        if against and (no := next((r for r in broadcast.done if against.search(r.text)), None)):
            return "veto", no.label
        votes = Counter(r.text.strip() if same else "" for r in broadcast.done)
        return ("quorum", "") if max(votes.values(), default=0) >= count else ("", "")

    return enough
