"""A verb's schema becomes a command line."""

import io
import sys
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from aegis import Completes, ConfigError, verb
from aegis.verb_definition import Verb
from aegis_cli.arguments import standard_input, verb_arguments, verb_parser


class Place(BaseModel):
    x: int
    y: int = 0


class Fixture:
    @verb("paint", positional=("colour", "what"))
    async def paint(
        self,
        caller,
        colour: Literal["red", "blue"],
        what: str,
        coats: int = 1,
        thickness: float | None = None,
        dry: bool = False,
        primer: bool = True,
        tags: list[str] = [],  # noqa: B006 - what a plugin author may write
        at: Place | None = None,
        extra: dict[str, Any] | None = None,
        in_a_hurry: str = "",
    ) -> str:
        """Paint something 100 % in a colour."""

    @verb("call")
    async def call(self, caller, handle: Annotated[str, Completes("handle")]) -> str:
        """Call somebody."""

    @verb("note", positional=("text",))
    async def note(self, caller, text: str = "", project: str = "") -> str:
        """Note something."""

    @verb("tail", positional=("name",))
    async def tail(self, caller, name: str, n: int = 50) -> str:
        """Show the end of something."""

    @verb("pick", positional=("names",))
    async def pick(self, caller, names: list[str], count: int) -> str:
        """Pick some."""


def described(name):
    return Verb("fixture", getattr(Fixture(), name)).describe()


def given(name, *words):
    return verb_arguments(described(name), words)[0]


def test_positionals_and_only_what_was_given():
    assert given("paint", "red", "fence") == {"colour": "red", "what": "fence"}


def test_the_last_text_takes_the_rest_of_the_line_around_the_flags():
    assert given("paint", "red", "the", "garden", "--coats", "2", "fence") == {
        "colour": "red", "what": "the garden fence", "coats": 2,
    }  # fmt: skip


def test_two_dashes_end_the_options():
    assert given("paint", "red", "--", "a", "--coats", "of", "-5")["what"] == "a --coats of -5"


def test_a_text_with_spaces_may_begin_with_a_dash():
    assert given("paint", "red", "- a list")["what"] == "- a list"


def test_a_dash_alone_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("from\na pipe"))
    assert given("paint", "red", "-")["what"] == "from\na pipe"


def test_standard_input_is_utf8_whatever_the_locale(monkeypatch):
    for raw, said in ((b"\xef\xbb\xbfcaf\xc3\xa9\r\n", "café\n"), (b"", "")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="ascii"))
        assert standard_input() == said
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), encoding="latin-1"))
    with pytest.raises(ConfigError, match="standard input is not UTF-8: byte 0xe9 at 3"):
        standard_input()


def test_a_name_is_one_word():
    with pytest.raises(ConfigError, match="unrecognized arguments: lovelace"):
        given("call", "ada", "lovelace")


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--thickness", "0.5"], "thickness", 0.5),
        (["--dry"], "dry", True),
        (["--no-primer"], "primer", False),
        (["--tags", "a", "--tags", "b c"], "tags", ["a", "b c"]),
        (["--at", '{"x": 1}'], "at", {"x": 1}),
        (["--extra", '{"k": [1, null]}'], "extra", {"k": [1, None]}),
        (["--in-a-hurry", "yes"], "in_a_hurry", "yes"),
    ],
)
def test_flags_have_the_types_of_the_schema(words, name, value):
    assert given("paint", "red", "fence", *words)[name] == value


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: "),
        (["green", "fence"], "invalid choice: 'green' (choose from 'red', 'blue')"),
        (["red", "fence", "--coats", "many"], "--coats: invalid int value: 'many'"),
        (["red", "fence", "--at", "{x"], "'{x' is not JSON"),
        (["red", "fence", "--at", "[" * 100_000], "is not JSON"),
        (["red", "fence", "--cots", "2"], "unrecognized arguments: --cots"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(words, said):
    with pytest.raises(ConfigError) as caught:
        given("paint", *words)
    assert said in str(caught.value)
    assert "`aegis paint --help` says how" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("words", [("a", "-n", "20"), ("-n", "20", "a"), ("a", "-n20"), ("a", "--n", "20")])
def test_an_option_of_one_letter_takes_one_dash_too(words):
    assert given("tail", *words) == {"name": "a", "n": 20}
    assert "[-n N]" in verb_parser(described("tail")).format_usage()


def test_an_optional_positional_may_be_missing():
    assert given("note") == {}
    assert given("note", "a", "b") == {"text": "a b"}


def test_a_list_may_be_positional_and_a_flag_required():
    assert given("pick", "a", "b", "--count", "2") == {"names": ["a", "b"], "count": 2}
    with pytest.raises(ConfigError, match="--count"):
        given("pick", "a")


def test_the_verbs_own_names_win_over_ours():
    args, options = verb_arguments(described("note"), ["x", "--project", "mars", "--json"])
    assert args == {"text": "x", "project": "mars"}
    assert options == {"_json": True}


def test_our_options_stand_anywhere():
    args, options = verb_arguments(described("paint"), ["red", "--json", "fence", "-C", "there"])
    assert args == {"colour": "red", "what": "fence"}
    assert options == {"_json": True, "_project": "there"}


def test_help_comes_from_the_docstring():
    said = verb_parser(described("paint")).format_help()
    assert "Paint something 100 % in a colour." in said
    assert "--no-primer" in said
    assert "Agents call it aegis_paint" in said


@pytest.mark.parametrize("spelled", [["--in_a_hurry", "yes"], ["--in_a_hurry=yes"], ["--in-a-hurry", "yes"]])
def test_an_underscore_in_an_option_is_a_dash(spelled):
    assert given("paint", "red", "a_fence", *spelled) == {"colour": "red", "what": "a_fence", "in_a_hurry": "yes"}


def test_values_and_unknown_options_keep_their_underscores():
    assert given("note", "in_a_hurry") == {"text": "in_a_hurry"}
    assert given("paint", "red", "x", "--in_a_hurry=--no_primer") == {
        "colour": "red",
        "what": "x",
        "in_a_hurry": "--no_primer",
    }
    with pytest.raises(ConfigError, match="--in_no_hurry"):
        given("paint", "red", "x", "--in_no_hurry")
