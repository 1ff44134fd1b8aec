"""The comparison that counts and attributes lines is a true one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_canvas.line_diff import line_blocks
from aegis_canvas.notices import changed_lines

LINES = st.lists(st.sampled_from(["a", "b", "", "c"]), max_size=40)


@pytest.mark.fuzz
@given(LINES, LINES)
def test_the_stretches_are_both_texts_whole_and_the_equal_ones_are_equal(before: list[str], after: list[str]) -> None:
    at, to = 0, 0
    for equal, a, b, c, d in line_blocks(before, after):
        assert (a, c) == (at, to)
        assert not equal or before[a:b] == after[c:d]
        at, to = b, d
    assert (at, to) == (len(before), len(after))


def test_lines_that_occur_often_are_not_counted_as_changed() -> None:
    old = ["- [ ] a", "- [ ] b"] * 200
    new = [*old[:100], "new", *old[100:250], "new, too", *old[250:]]
    assert changed_lines("\n".join(old), "\n".join(new)) == (2, 0)


def test_a_long_text_with_many_empty_lines_keeps_its_count() -> None:
    old = [line for n in range(3000) for line in ("", f"paragraph {n}")]
    new = ["first", *old[:4000], "middle", *old[4000:], "last"]
    assert changed_lines("\n".join(old), "\n".join(new)) == (3, 0)


def test_texts_of_very_many_lines_that_share_every_other_one_are_not_compared_for_ever():
    old, new = [str(n) for n in range(200_000)], [str(n if n % 2 else -n - 1) for n in range(200_000)]
    assert changed_lines("\n".join(old), "\n".join(new)) == (199_999, 199_999), "all but the last"
    old[100_000] = "x"
    assert changed_lines("\n".join(old), "\n".join(str(n) for n in range(200_000))) == (1, 1)
