"""Handles: `lucid-knuth`. An adjective and a laureate with one initial; a label, never a key."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection
from functools import cache
from importlib.resources import files

from aegis.errors import Refused, listed

_FORMAT = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+){0,2}$")


@cache
def _words() -> tuple[tuple[str, str], ...]:
    pairs = []
    for line in files("aegis").joinpath("handles.txt").read_text().splitlines():
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
        return "-".join(min(free, key=cost))
    base, n = "-".join(random.choice(_words())), 2
    while f"{base}-{n}" in taken:
        n += 1
    return f"{base}-{n}"


def checked_handle(handle: str, taken: Collection[str]) -> str:
    """Return the handle if it is well formed and free; raises `Refused` with what would be."""
    if not _FORMAT.match(handle) or len(handle) > 40:
        raise Refused(f"{handle!r} is not a handle: lower-case letters and digits in one to three parts joined by '-'")
    if handle in taken:
        raise Refused(f"the handle {handle!r} is taken (live: {listed(taken)})")
    return handle
