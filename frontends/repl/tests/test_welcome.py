"""The help fits a screen, and goes into detail where it is asked to."""

import pytest

from aegis import Refused
from aegis_repl.state import View
from aegis_repl.welcome import help_on, welcome


def described(name: str, plugin: str, /, **properties):
    required = [n for n, schema in properties.items() if "default" not in schema]
    schema = {"properties": properties, "required": required}
    doc = f"Do {name}.\n\nIn detail."
    return {
        "name": name, "plugin": plugin, "help": f"Do {name}.", "doc": doc, "schema": schema,
        "positional": list(properties), "completes": {},
    }  # fmt: skip


TEXT = {"type": "string"}
CANVAS = [described(f"canvas word{n}", "canvas", name=TEXT, section={**TEXT, "default": ""}) for n in range(60)]
QUEUE = [described(name, "queue") for name in ("enqueue", "task list", "task show")]
VERBS = [described("send", "inbox", handle=TEXT), *CANVAS, *QUEUE]


def plain(lines):
    return ["".join(text for _, text in line) for line in lines]


def test_the_first_screen_says_what_of_the_files_is_not_in_force():
    remark = ".aegis.yaml:9: x: no plugin here owns this section."
    config = {"error": ".aegis.yaml:3: queues: wrong", "remarks": [remark]}
    said = plain(welcome({"root": "/p", "config": config}, View(), []))
    assert "✗ .aegis.yaml:3: queues: wrong" in said
    assert "  The configuration of before stays in force." in said
    assert f"· {remark}" in said


def test_the_help_is_short_and_names_every_group():
    said = plain(help_on("", VERBS, 100))
    assert len(said) < 24, "a terminal of 80 by 24 shows it whole"
    assert said[0] == "Type" and "Keys" in said
    assert "  inbox   /send" in said and "  queue   /enqueue · /task list, show" in said
    assert all(len(line) <= 100 for line in said)


@pytest.mark.parametrize("word", ["canvas", "/canvas"])
def test_a_group_is_listed_with_what_each_does(word):
    said = plain(help_on(word, VERBS))
    assert said[0] == "canvas" and len(said) == 61
    assert said[1] == "  /canvas word0 NAME [SECTION]   Do canvas word0."


def test_a_plugin_is_a_group_too():
    assert plain(help_on("queue", VERBS)) == [
        "queue",
        "  /enqueue    Do enqueue.",
        "  /task list  Do task list.",
        "  /task show  Do task show.",
    ]


def test_all_is_everything():
    assert len(help_on("all", VERBS)) == 65


def test_one_command_is_explained():
    assert plain(help_on("send", VERBS)) == ["/send HANDLE", "  Do send.", "  ", "  In detail.", "  from aegis-inbox"]


def test_what_is_not_there_is_refused():
    with pytest.raises(Refused, match=r"there is no command /snd\. Did you mean 'send'"):
        help_on("snd", VERBS)
