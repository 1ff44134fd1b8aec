"""Where a pattern is in a text, counted in characters, whatever the text."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_patterns.pattern import Pattern

TEXT = st.text(st.sampled_from("ab\u00e9\u20ac\U0001f600 \n"), max_size=30)


@given(TEXT, st.sampled_from(["a+", "a(b+)", "(a)|b", "\u00e9.", "[^ab]+", "(?s)a.*b", "b$"]))
def test_they_are_where_re_has_them(text, source):
    theirs = [match.span(match.lastindex or 0) for match in re.compile(source).finditer(text)]
    if source == "b$":  # `$` is the end of the text alone
        theirs = [span for span in theirs if span[1] == len(text)]
    assert Pattern(source).spans(text) == theirs


@pytest.mark.parametrize("source", ["(a+)+$", "a.*b|a", "(?:.*a){20}x|a"])
def test_what_would_take_for_ever_is_one_place(source):
    """Not measured: with `re`, or with a search from each place, this would not end within the tests' own limit."""
    for text in ("a" * 200_000, "a" * 200_000 + "!"):
        spans = Pattern(source).spans(text)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
        if source != "(a+)+$":
            assert spans[0] == (0, 1) and spans[-1][1] == len(text), "what was not looked at counts as found"


def test_half_a_surrogate_pair_is_one_character():
    assert Pattern("b").spans("\ud800b\u00e9b") == [(1, 2), (3, 4)]
