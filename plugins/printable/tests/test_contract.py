"""What a screen shows is what is there."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_printable.printable import deceptive, printable, printable_json, printable_line

HIDDEN = {
    "right-to-left override": "\u202e", "isolate": "\u2066", "mark of direction": "\u200f", "zero width": "\u200b",
    "joiner": "\u200d", "byte order mark": "\ufeff", "soft hyphen": "\xad", "tag": "\U000e0041", "escape": "\x1b",
    "bell": "\x07", "backspace": "\x08", "carriage return": "\r", "one-byte sequence": "\x9b",
    "line separator": "\u2028", "next line": "\x85", "Hangul filler": "\u3164", "half-width filler": "\uffa0",
    "Braille blank": "\u2800",
    "variation selector": "\ufe0f", "more of them": "\U000e0100", "lone surrogate": "\udce9", "delete": "\x7f",
    "invisible times": "\u2062", "Mongolian selector": "\u180e", "annotation": "\ufff9", "no character": "\uffff",
}  # fmt: skip


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN)
def test_what_hides_is_an_escape(character):
    text = f"ab{character}cd"
    for shown in (printable(text), printable_line(text)):
        assert re.fullmatch(r"ab\\(r|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})cd", shown)
    assert deceptive(text)
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text
    assert character not in printable_json(json.dumps({"text": text}, ensure_ascii=False))


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "naïve café",
        "日本語　です",
        "한국어",
        "עברית",
        "हिन्दी",
        "👩‍💻 👍🏽 ❤️ 1️⃣ ⌬ ✏️",
        "\ttab\nline",
        "a\\nb",
        "кириллица",
    ],
)
def test_what_people_write_stays(text):
    assert printable(text) == text
    assert not deceptive(text)
    assert printable_line(text) == text.replace("\t", "\\t").replace("\n", "\\n")


def test_the_ends_of_windows_lines_are_line_ends():
    assert printable("a\r\nb\rc") == "a\nb\\rc"


@pytest.mark.parametrize("space", ["\xa0", "\u2003", "\u202f", "\u205f"])
def test_one_line_shows_a_space_that_is_none(space):
    assert (
        printable_line(f"rm{space}-rf")
        == f"rm\\{'x' if ord(space) < 256 else 'u'}{ord(space):0{2 if ord(space) < 256 else 4}x}-rf"
    )
    assert printable(f"rm{space}-rf") == f"rm{space}-rf"  # in a text it is how French is set


def test_marks_do_not_pile_up_over_other_lines():
    piled = printable("a" + "\u0301" * 50)
    assert piled == "a" + "\u0301" * 4 + "\\u0301" * 46
    assert printable_line("\u0301a") == "\\u0301a"  # it would stand on our own text


@pytest.mark.fuzz
@given(st.text())
def test_nothing_hidden_is_ever_left(text):
    one, many = printable_line(text), printable(text)
    assert len(one.splitlines()) <= 1
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in many)
    assert printable(many) == many
    assert printable_line(one) == one
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text
