"""Reducers keeps what every plugin keeps, and each fold what every reducer keeps."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Answer, hookimpl
from aegis.testing.contracts import PluginContract, ReducerContract
from aegis_reducers.folds import Concat, JoinByHandle, JsonMerge, LastWins, MajorityVote

FOLDS = [Concat(), JoinByHandle(), JsonMerge(), LastWins(), MajorityVote()]


class TestReducers(PluginContract):
    plugin = "reducers"


@pytest.mark.parametrize("fold", FOLDS, ids=lambda fold: fold.name)
class TestEach(ReducerContract):
    @pytest.fixture
    def reducer(self, fold):
        return fold


REFERENCE = [Answer("b", "y"), Answer("a", "x "), Answer("c", "x")]


def test_the_example_of_the_reference():
    assert Concat().fold(REFERENCE) == "---\nb: y\n\n---\na: x \n\n---\nc: x"
    assert JoinByHandle().fold(REFERENCE) == {"b": "y", "a": "x ", "c": "x"}
    assert LastWins().fold(REFERENCE) == "x"
    assert MajorityVote().fold(REFERENCE) == "x"
    assert MajorityVote().details(REFERENCE) == {"votes": {"y": 1, "x": 2}, "dissent": {"b": "y"}}


def test_of_two_with_as_many_votes_the_first_wins_and_nobody_elects_nothing():
    assert MajorityVote().fold([Answer("a", "no"), Answer("b", "yes")]) == "no"
    assert MajorityVote().fold([]) == MajorityVote().fold([Answer("a", "", "failed", "it died")]) == ""


def test_objects_are_merged_and_what_is_none_is_named():
    said = [Answer("a", '{"bugs": [1], "by": {"a": 1}}'), Answer("b", "none"),
            Answer("c", '```json\n{"bugs": [2], "by": {"c": 2}, "ok": false}\n```')]  # fmt: skip
    assert JsonMerge().fold(said) == {"bugs": [1, 2], "by": {"a": 1, "c": 2}, "ok": False}
    assert JsonMerge().details(said) == {"passed_over": ["b"]}


@pytest.mark.parametrize("fold", FOLDS, ids=lambda fold: fold.name)
@given(st.lists(st.builds(Answer, st.text(max_size=5), st.text(max_size=30), st.sampled_from(["completed", "failed"]))))
def test_they_are_total_on_any_answers(fold, answers):
    json.dumps(fold.fold(answers))


class Longest:
    """A stranger's reducer, whole."""

    name = "longest"

    def fold(self, answers):
        return max((answer.text for answer in answers), key=len, default="")


class Stranger:
    @hookimpl
    def aegis_reducers(self):
        return [Longest()]


async def test_a_stranger_adds_one(kernel_with):
    async with kernel_with(stranger=Stranger()) as kernel:
        assert kernel.reducers["longest"].fold(REFERENCE) == "x "
