"""A value is cut out wherever it stands, and nothing else is touched."""

import json

import pytest

from aegis_redactor.redactor import Redactor

ODD = 'pa"ss\\word\nü'


@pytest.fixture
def redactor():
    made = Redactor()
    made.know("ODD", ODD)
    made.know("KEY", "123456")
    return made


def test_it_knows_nothing_at_first_and_changes_nothing():
    redactor = Redactor()
    assert redactor.json(b'{"a":1}') == b'{"a":1}' and redactor.text("x") == "x" and not redactor.values


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_value_is_found_as_it_is_in_json_and_in_json_inside_json(redactor, ascii_only):
    inner = json.dumps({"a": ODD}, ensure_ascii=ascii_only)
    for text in (f"a{ODD}b", inner, json.dumps(inner, ensure_ascii=ascii_only)):
        cut = redactor.text(text)
        assert "<secret:ODD>" in cut and "ss" not in cut.replace("<secret:ODD>", "")


def test_only_texts_are_cut_so_json_stays_json(redactor):
    line = json.dumps({"pid": 1234567, "said": "123456", "123456": [ODD, None]}).encode()
    assert json.loads(redactor.json(line)) == {
        "pid": 1234567, "said": "<secret:KEY>", "<secret:KEY>": ["<secret:ODD>", None]
    }  # fmt: skip


def test_a_longer_secret_is_cut_before_one_that_is_a_part_of_it():
    redactor = Redactor()
    redactor.know("SHORT", "abcdef")
    redactor.know("LONG", "abcdefgh")
    assert redactor.text("abcdefgh abcdef") == "<secret:LONG> <secret:SHORT>"
