"""Two texts compared line by line; a line that occurs often is compared like any other."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

_LONGEST = 20_000  # lines of both that are compared one by one: matches are looked for between matches, and so on
_MOST = 200_000  # pairs of equal lines to look at: what keeps a comparison of the largest texts within seconds


def line_blocks(before: list[str], after: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """Return the blocks of both texts, in order: whether they are equal, and where each begins and ends in both.

    What both begin and end with is never counted as changed. `SequenceMatcher` alone leaves out every line that makes
    up more than a hundredth of a text, and then calls all of it new; here the most frequent ones are left out only
    when there are too many pairs of them. The middle of two texts of very many lines is compared no further: all of it
    counts as changed.
    """
    least = min(len(before), len(after))
    head = next((n for n in range(least) if before[n] != after[n]), least)
    tail = next((n for n in range(least - head) if before[-1 - n] != after[-1 - n]), least - head)
    a, b = before[head : len(before) - tail], after[head : len(after) - tail]
    ends = (len(before) - tail, len(before), len(after) - tail, len(after))
    if len(a) + len(b) > _LONGEST:
        return [(True, 0, head, 0, head), (False, head, ends[0], head, ends[2]), (True, *ends)]
    counts = Counter(b)
    pairs = {line: n * counts[line] for line, n in Counter(a).items()}
    total, matcher = sum(pairs.values()), SequenceMatcher(None, a, b, autojunk=False)
    for line in sorted(pairs, key=pairs.__getitem__, reverse=True):
        if total <= _MOST:
            break
        del matcher.b2j[line]  # type: ignore[attr-defined]  # no match begins with it, but goes on through it
        total -= pairs[line]
    middle = [(tag == "equal", i + head, j + head, k + head, m + head) for tag, i, j, k, m in matcher.get_opcodes()]
    return [(True, 0, head, 0, head), *middle, (True, *ends)]
