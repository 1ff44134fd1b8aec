"""Patterns and schemas of strangers: the worst of each kind is answered, and the caller goes on meanwhile."""

from __future__ import annotations

import os
import threading
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.lowlevel

from aegis_patterns.apart import Unjudged, apart
from aegis_patterns.pattern import LONGEST, Pattern, PatternError
from aegis_patterns.schema import check, faults

BACKTRACKS = "(?=a)(a+)+$"  # with look-ahead, so that only `re` knows it


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def repeated(depth: int) -> dict[str, Any]:
    """Return a small schema whose references meet again so often that it is never through."""
    names = [f"d{n}" for n in range(depth)]
    parts = {name: {"allOf": [{"$ref": f"#/$defs/{then}"}] * 50} for name, then in pairwise(names)}
    return {"$ref": "#/$defs/d0", "$defs": {**parts, names[-1]: {"type": "string"}}}


# -- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["(a+)+$", "(a|aa)+$", "(.*a){25}x", "([a-zA-Z]+)*!!$"])
async def test_a_pattern_that_re_never_ends_with_is_answered(source):
    assert not await Pattern(source).found_in("a" * 50_000 + "?")


async def test_a_pattern_is_found_as_re_finds_it():
    assert await Pattern("BLOCKER").found_in("a BLOCKER here")
    assert await Pattern(r"(?i)\bno\b").found_in("I say No.")
    assert await Pattern("é|ж").found_in("ж")
    assert not await Pattern("^b").found_in("ab\nb")
    assert not await Pattern("x").found_in("")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("(", "missing"), ("(?=a)b", "look-around"), (r"(a)\1", "back references"),
        ("a" * (LONGEST + 1), "at most"),
        ("((a{900}){900}){900}", "repetition size"), (r"\pL{1000}", "too large"), ("\ud800", "surrogate"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_says_why(source, why):
    with pytest.raises(PatternError, match=why):
        Pattern(source)


async def test_a_long_search_lets_the_caller_go_on_and_a_longer_one_is_refused():
    slow = Pattern("(([ab]*a){10}){10}c")  # the worst that a linear engine meets: no short cut is left
    threads = threading.active_count()
    assert not await slow.found_in("aabab" * 20_000)
    assert threading.active_count() > threads or threads > 1, "it was searched in a thread"
    with pytest.raises(PatternError, match="may take more than a second to search 10,000,000 bytes"):
        await slow.found_in("aabab" * 2_000_000)


# -- schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "value", "why"),
    [
        ({"pattern": BACKTRACKS}, "a" * 40 + "!", "within 1 s"),
        ({"patternProperties": {"(a+)+$": {}}, "additionalProperties": False}, {"a" * 40 + "!": 1}, "within 1 s"),
        ({"propertyNames": {"pattern": BACKTRACKS}}, {"a" * 40 + "!": 1}, "within 1 s"),
        ({"uniqueItems": True}, [{"a": n} for n in range(30_000)], "within 1 s"),
        (repeated(6), "x", "within 1 s"),
        ({"$ref": "#"}, 1, "refers to itself"),
        ({"items": {"$ref": "#"}}, nested(800), "nested too deeply"),
        ({"$ref": "#/$defs/none"}, 1, "leads nowhere"),
        ({"$ref": "http://127.0.0.1:1/schema"}, 1, "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, 1, "nothing is fetched"),
        ({"properties": {"a": {"$dynamicRef": "ftp://127.0.0.1/x"}}}, 1, "nothing is fetched"),
        ({"$ref": "other.json"}, 1, "leads nowhere"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
async def test_what_cannot_be_judged_says_why(schema, value, why):
    with pytest.raises(Unjudged, match=why):
        await faults(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"pattern": "(a+)+$"}, "a" * 40 + "!", False),
        ({"patternProperties": {"(a+)+$": False}}, {"a" * 40 + "!": 1}, True),
        ({"pattern": "(?!x)a"}, "a", True),
        ({"multipleOf": 3}, 10**4000, False),
        ({"multipleOf": 0.1}, 10**300, True),
        ({"enum": list(range(100_000))}, "x", False),
        ({"type": "string", "maxLength": 3}, "x" * 1_000_000, False),
        ({"$id": "http://a/b", "$ref": "http://a/b#/$defs/c", "$defs": {"c": {"type": "integer"}}}, 1, True),
        ({"$schema": "http://nobody/knows"}, 1, True),
        (True, 1, True),
        (False, 1, False),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_only_looks_bad_is_judged(schema, value, fits):
    found = await faults(schema, value)
    assert (found == []) is fits
    assert all(len(fault) < 1_000 for fault in found), "a fault quotes no whole value"


async def test_what_is_no_schema_says_why():
    assert await check({"type": "object"}) == ""
    assert "is not valid under any" in await check({"type": "nothing"})
    assert "is not a 'regex'" in await check({"pattern": "("})
    assert "nothing is fetched" in await check({"allOf": [{"$ref": "http://127.0.0.1:1/"}]})
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"items": deep}
    with pytest.raises(Unjudged, match="nested too deeply"):
        await check(deep)


# -- apart ------------------------------------------------------------------------------------------------------------


async def test_the_caller_goes_on_while_a_child_computes():
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        with pytest.raises(Unjudged):
            await faults({"pattern": BACKTRACKS}, "a" * 40 + "!")
        nursery.cancel_scope.cancel()
    assert turns > 100


async def test_a_child_that_is_not_wanted_any_more_is_gone():
    with trio.move_on_after(0.05) as limit:
        await faults({"pattern": BACKTRACKS}, "a" * 40 + "!")
    assert limit.cancelled_caught
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222 - it does not wait


async def test_what_a_child_dies_of_is_said():
    with pytest.raises(Unjudged, match=r"the process that tried ended by exit code 1: .*No module named 'nowhere'"):
        await apart("nowhere:f", 1)
    with pytest.raises(Unjudged, match="ValueError: invalid literal"):
        await apart("builtins:int", "x")
    with pytest.raises(Unjudged, match="ended by SIGKILL"):
        await apart("signal:raise_signal", 9)
    with pytest.raises(Unjudged, match="it is no JSON"):
        await apart("builtins:int", "\ud800")
    with pytest.raises(Unjudged, match="MB of memory"):
        await apart("builtins:bytes", 2**31)
    assert await apart("builtins:int", "3") == 3
