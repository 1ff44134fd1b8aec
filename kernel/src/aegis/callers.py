"""Who is asking."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """One who calls a verb, filled in by the surface: `agent:lucid-knuth`, `human:anna`, `schedule:nightly`.

    `trace` is the request that all this began with, `hops` how many envelopes lie behind it; `verbs` are the patterns
    of the verbs it may use (None: all that are for its kind).
    """

    kind: str
    name: str
    agent_id: str = ""
    trace: str = ""
    hops: int = 0
    verbs: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def may(self, verb: str) -> bool:
        """Return whether the caller's verb set has this verb; `canvas *` stands for a whole family."""
        return self.verbs is None or any(fnmatchcase(verb, pattern) for pattern in self.verbs)


def includes(ours: Sequence[str] | None, theirs: Sequence[str] | None) -> bool:
    """Return whether our verb patterns (None: all) have every verb that theirs have, whatever plugins bring yet."""
    wide, narrow = (["*"] if patterns is None else patterns for patterns in (ours, theirs))
    return all(any(_within(pattern, wider) for wider in wide) for pattern in narrow)


def _within(pattern: str, wider: str) -> bool:
    # A star in the one is a character that only a star of the other matches; nobody reckons with `?` and `[` so.
    return wider in ("*", pattern) or (fnmatchcase(pattern, wider) and not {*"?["} & {*pattern, *wider})
