"""A hint names a word only when it is likely meant."""

from __future__ import annotations

import pytest

from aegis.errors import nearest

KNOWN = ("agents", "approvals list", "canvas", "claude", "doctor", "enqueue", "lucid-knuth", "send", "sessions", "two")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("sesions", "sessions"), ("enqeue", "enqueue"), ("claud", "claude"), ("tow", "two"), ("agent", "agents"),
        ("approvals lst", "approvals list"), ("lucid", "lucid-knuth"), ("doc", "doctor"),
    ],
)  # fmt: skip
def test_a_slip_or_a_beginning_is_understood(word: str, meant: str) -> None:
    assert nearest(word, KNOWN) == f" Did you mean {meant!r}?"


@pytest.mark.parametrize("word", ["nonsense", "hello", "kill", "exit", "say", "approve the thing", "x", ""])
def test_where_nothing_is_near_nothing_is_named(word: str) -> None:
    assert nearest(word, KNOWN) == ""


def test_a_beginning_of_several_names_none() -> None:
    assert nearest("sub", ["subscribe", "subscriber", "subscription"]) == ""
