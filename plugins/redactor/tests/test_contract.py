"""A value is cut out wherever it stands, and nothing else is touched."""

import json

import msgspec
import pytest

from aegis_redactor.redactor import Redactor
from aegis_redactor.seam import Seam

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


class Piece(msgspec.Struct, frozen=True):
    text: str
    message: str = ""


class End(msgspec.Struct, frozen=True):
    pass


@pytest.mark.parametrize("size", range(1, 12))
def test_a_value_is_found_wherever_a_text_is_split(redactor, size):
    text = f"12 is not 1234 and {ODD} is 12345, 123456; 1123456 12345"
    seam = Seam(redactor, (Piece,))
    said = [seam.joined([Piece(text[at : at + size])]) for at in range(0, len(text), size)]
    pieces = [piece.text for some in [*said, seam.joined([End()])] for piece in some if type(piece) is Piece]
    assert "".join(pieces) == "12 is not 1234 and <secret:ODD> is 12345, <secret:KEY>; 1<secret:KEY> 12345"
    assert all(pieces)


def test_what_is_held_back_is_let_go_by_whatever_does_not_go_on(redactor):
    seam = Seam(redactor, (Piece,))
    assert seam.joined([Piece("a 123")]) == [Piece("a ")]
    assert seam.joined([Piece("456", "of another message")]) == [Piece("123"), Piece("456", "of another message")]
    assert seam.joined([Piece("1"), End(), Piece("23456")]) == [Piece("1"), End(), Piece("23456")]
    assert seam.joined([]) == []


def test_without_values_nothing_is_looked_at():
    seam, said = Seam(Redactor(), (Piece,)), [Piece("x"), End()]
    assert seam.joined(said) is said
