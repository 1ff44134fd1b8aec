import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Refused
from aegis_repl.parse import Command, Say, bind, parse, usage, words

VERBS = ["send", "sessions", "canvas write", "canvas read", "approvals deny"]


def verb(name="handoff", positional=("target", "context"), completes=(), /, **properties):
    properties = properties or {
        "target": {"type": "string"}, "context": {"type": "string"}, "interrupt": {"type": "boolean", "default": False},
        "reply_to": {"type": "string", "default": ""},
    }  # fmt: skip
    required = [name for name, schema in properties.items() if "default" not in schema]
    return {
        "name": name, "positional": list(positional), "completes": dict.fromkeys(completes, "handle"),
        "schema": {"properties": properties, "required": required},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", None),
        ("  ", None),
        ("hello you ", Say("hello you")),
        ("//help me", Say("/help me")),
        (" /not a command", Say("/not a command")),
        ("@wry-hopper look at it", Say("look at it", "wry-hopper")),
        ("@types/node is broken", Say("@types/node is broken")),
        ("@wry two\nlines", Say("two\nlines", "wry")),
        ("/sessions", Command("sessions")),
        ("/send a  b c", Command("send", "a  b c")),
        ("/canvas write  notes x", Command("canvas write", "notes x")),
        ("/tab 2", Command("tab", "2")),
        ("/quit", Command("quit")),
    ],
)
def test_what_a_line_asks_for(line, asked):
    assert parse(line, VERBS) == asked


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/", "which command?"),
        ("/sesions", "no command /sesions. Did you mean 'sessions'?"),
        ("/usr/bin/foo is broken", "begins with a slash, type //usr/bin/foo …"),
        ("/canvas", "/canvas needs one of: write, read"),
        ("@wry", "say what: @wry TEXT"),
    ],
)
def test_what_is_asked_for_wrongly(line, sentence):
    with pytest.raises(Refused) as refusal:
        parse(line, VERBS)
    assert sentence in str(refusal.value)


@pytest.mark.fuzz
@given(st.text(max_size=30))
def test_any_line_is_understood_or_refused(line):
    try:
        asked = parse(line, VERBS)
    except Refused:
        return
    assert (asked is None) == (not line.strip())


@pytest.mark.parametrize(
    ("typed", "args"),
    [
        ("wry look at it", {"target": "wry", "context": "look at it"}),
        ('wry don\'t  touch "it"', {"target": "wry", "context": 'don\'t  touch "it"'}),
        ('wry "look at it"', {"target": "wry", "context": "look at it"}),
        ("wry 'it is \"so\"'", {"target": "wry", "context": 'it is "so"'}),
        ("wry look --interrupt", {"target": "wry", "context": "look", "interrupt": True}),
        ("--no-interrupt wry look", {"target": "wry", "context": "look", "interrupt": False}),
        ("wry use --json for it", {"target": "wry", "context": "use --json for it"}),
        ("wry look --reply-to 01X", {"target": "wry", "context": "look", "reply_to": "01X"}),
        ("--reply-to=01X wry look", {"target": "wry", "context": "look", "reply_to": "01X"}),
        ("wry -- --interrupt it", {"target": "wry", "context": "--interrupt it"}),
    ],
)
def test_words_become_arguments(typed, args):
    assert bind(verb(), typed) == args


def test_types_of_arguments():
    count = {"anyOf": [{"type": "null"}, {"type": "integer"}], "default": None}
    kinds = {"name": {"type": "string"}, "tags": {"type": "array"}, "more": {"type": "object", "default": {}}}
    made = verb("make", ("name", "tags"), **kinds, count=count)
    assert bind(made, 'x a "b c" --more {"k":1} --count 3') == {
        "name": "x", "tags": ["a", "b c"], "more": {"k": 1}, "count": "3",
    }  # fmt: skip
    assert bind(made, "x --tags a --tags b") == {"name": "x", "tags": ["a", "b"]}
    with pytest.raises(Refused, match="--more takes JSON"):
        bind(made, "x --more nope")
    with pytest.raises(Refused, match="--more takes JSON"):
        bind(made, "x --more " + '{"a":' * 100_000)


@pytest.mark.parametrize("line", ["a -n 20", "-n 20 a", "a --n 20"])
def test_an_option_of_one_letter_takes_one_dash_too(line):
    logs = verb("logs", ("name",), name={"type": "string"}, n={"type": "integer", "default": 50})
    assert bind(logs, line) == {"name": "a", "n": "20"}
    assert usage(logs) == "/logs NAME [-n N]"


def test_a_name_takes_one_word():
    close = verb("close", ("handle",), ("handle",), handle={"type": "string"})
    assert bind(close, "wry") == {"handle": "wry"}
    with pytest.raises(Refused, match=r"/close does not take 'knuth'; usage: /close HANDLE"):
        bind(close, "wry knuth")


def test_what_is_missing_is_said_with_the_usage():
    with pytest.raises(Refused) as refusal:
        bind(verb(), "wry")
    usage = "/handoff TARGET CONTEXT [--interrupt] [--reply-to REPLY_TO]"
    assert str(refusal.value) == f"CONTEXT is missing; usage: {usage}"
    with pytest.raises(Refused, match="TARGET and CONTEXT are missing; usage: /handoff"):
        bind(verb(), "")


def test_an_option_needs_its_value():
    with pytest.raises(Refused, match="--reply-to takes a value"):
        bind(verb(), "wry look --reply-to")


def test_usage_is_how_it_is_typed():
    assert usage(verb()) == "/handoff TARGET CONTEXT [--interrupt] [--reply-to REPLY_TO]"


@pytest.mark.fuzz
@given(st.text(max_size=30))
def test_words_stand_where_they_say(text):
    for value, start, end in words(text):
        assert not text[start].isspace() and text[start:end].strip() == text[start:end]
        assert value in text or "\\" in text


def test_options_that_another_verb_describes_become_parts_of_their_object():
    told = {"type": "object", "x-described-by": {"verb": "workflow arguments", "for": "name"}}
    verb = {
        "name": "workflow run", "positional": ["name"], "completes": {"name": "workflow"},
        "schema": {"properties": {"name": {"type": "string"}, "kwargs": told, "wait": {"type": "boolean"}}},
    }  # fmt: skip
    line = "notes --name Ada --since v1 --tag=a --tag b --loud --no-colour --wait"
    kwargs = {"name": "Ada", "since": "v1", "tag": ["a", "b"], "loud": True, "colour": False}
    assert bind(verb, line) == {"name": "notes", "kwargs": kwargs, "wait": True}
