"""Values as people read them."""

import io
import json

import pytest

from aegis import NotFound
from aegis_cli import render
from aegis_printable.printable import printable

ROWS = [
    {"handle": "ada", "state": "idle", "queued": 0, "notes": {}},
    {"handle": "lucid-knuth", "state": "working", "queued": 2, "notes": {}},
]


def test_a_table_is_aligned_and_leaves_out_what_says_nothing_which_zero_does():
    assert render.as_text(ROWS).splitlines() == [
        "handle       state    queued",
        "ada          idle     0",
        "lucid-knuth  working  2",
    ]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_fits_the_terminal(width):
    rows = [{"name": "x" * 50, "what": "wide 漢字 text " * 5, "n": 1}]
    assert max(render.columns_of(line) for line in render.as_text(rows, width).splitlines()) <= width


def test_a_narrow_table_keeps_the_name_of_a_row_whole_and_leaves_out_the_last_columns():
    rows = [{"id": "01M7Y3CCATN33TXDB6MQQNTBYY", "body": "a text of many words " * 3, "trace": "01M7Y3CCATN33TXDB6MQQ"}]
    assert render.as_text(rows, 48).splitlines() == [
        "id                          body               …",
        "01M7Y3CCATN33TXDB6MQQNTBYY  a text of many w…",
    ]


def test_one_endless_cell_does_not_pad_the_other_rows():
    lines = render.as_text(
        [{"id": "1", "body": "x" * 100_000, "state": "ended"}, {"id": "2", "body": "y"}]
    ).splitlines()
    assert max(map(len, lines)) < 400 and lines[1].endswith("…  ended")


def test_an_object_is_aligned_with_long_texts_below():
    said = render.as_text({"id": "1", "in_reply_to": "", "body": "one\ntwo", "sender": "agent:ada", "cost": 0.25})
    assert said.splitlines() == ["id      1", "sender  agent:ada", "cost    0.25", "", "  one", "  two"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("as it is\n", "as it is\n"), (["a", "b"], "a\nb"), ([], ""), (True, "yes"), (3, "3"), ({}, "")],
)
def test_other_values(value, text):
    assert render.as_text(value) == text


HIDDEN = "\x1b[2J \r \x07 \x9b \u202e \u2066 \u200b \xad \U000e0041 \u2028 \ufeff"


def test_nothing_hidden_reaches_the_screen_from_any_shape_of_value():
    shapes = [
        HIDDEN,
        [HIDDEN],
        {"name": HIDDEN},
        {"a": {HIDDEN: HIDDEN}},
        [{"id": "1", "title": HIDDEN}],
        {"b": f"x\n{HIDDEN}"},
    ]
    for value in shapes:
        said = printable(render.as_text(value))
        assert not set(said) & (set(HIDDEN) - set(" [2J")), value
        assert "\\u202e" in said and "\\x1b[2J" in said
    for said in (render.as_json(shapes), render.error_json(NotFound(HIDDEN))):
        assert not set(said) & (set(HIDDEN) - set(" [2J"))
    assert json.loads(render.as_json(shapes))["value"] == shapes


def test_a_value_cannot_forge_a_row_of_ours():
    said = render.as_text({"id": "1", "title": "ls\nsender  human:root", "tool": "Bash\u2028kind  read"})
    assert [line for line in said.splitlines() if not line.startswith(" ")] == [
        "id    1",
        "tool  Bash\\u2028kind  read",
        "",
    ]


def test_no_colour_without_a_terminal():
    assert render.styled("x", "2", io.StringIO()) == "x"


def test_the_shape_of_json():
    assert json.loads(render.as_json([1])) == {"v": 1, "ok": True, "value": [1]}
    assert json.loads(render.error_json(NotFound("no such thing"))) == {
        "v": 1, "ok": False, "error": {"type": "NotFound", "message": "no such thing", "exit_code": 4},
    }  # fmt: skip
