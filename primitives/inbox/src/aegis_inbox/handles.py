"""Handles: `lucid-knuth`. An adjective and a laureate with one initial; a label, never a key."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from functools import cache
from importlib.resources import files


@cache
def _words() -> tuple[tuple[str, str], ...]:
    pairs = []
    for line in files("aegis_inbox").joinpath("handles.txt").read_text(encoding="utf-8").splitlines():
        adjectives, names = line[2:].split("|")
        pairs += [(a, n) for a in adjectives.split() for n in names.split()]
    return tuple(pairs)


def fresh_handle(taken: Collection[str]) -> str:
    """Return a handle that is not taken: an unused adjective first, then an unused name, then a rare initial."""
    parts = [h.split("-") for h in taken]
    adjectives, names, letters = {p[0] for p in parts}, {p[-1] for p in parts}, Counter(h[0] for h in taken if h)

    def cost(pair: tuple[str, str]) -> tuple[bool, bool, int, float]:
        return pair[0] in adjectives, pair[1] in names, letters[pair[0][0]], random.random()

    free = [p for p in _words() if "-".join(p) not in taken]
    if free:
        best = min(free, key=cost)
        return "-".join(best)
    base, n = "-".join(random.choice(_words())), 2
    while f"{base}-{n}" in taken:
        n += 1
    return f"{base}-{n}"
