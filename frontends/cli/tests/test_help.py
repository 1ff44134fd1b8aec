"""`aegis --help`: fifteen commands of every day, the rest by group, and nothing that is not installed."""

import pytest

from aegis import ConfigError
from aegis_cli.help import EVERY_DAY, group, overview, usage
from aegis_cli.shell import COMMANDS


def described(name: str, plugin: str, *, needed: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> dict:
    schema = {"properties": {n: {"type": "string"} for n in (*needed, *optional)}, "required": list(needed)}
    doc = f"Do {name}."
    return {
        "name": name, "plugin": plugin, "help": doc, "doc": doc, "schema": schema, "positional": [*needed, *optional],
        "completes": {}, "tool": "", "for": [],
    }  # fmt: skip


SEND = described("send", "inbox", needed=("handle", "text"))
CANVAS = [described(f"canvas {word}", "canvas", needed=("name",), optional=("section",)) for word in "abcdef"]
VERBS = [SEND, described("rename", "inbox"), *CANVAS, described("enqueue", "queue"), described("queue list", "queue")]


def test_there_are_fifteen_commands_of_every_day():
    assert sum(map(len, EVERY_DAY.values())) == 15
    assert all(name in COMMANDS for name in EVERY_DAY["start and stop"])


def test_every_day_comes_by_task_and_the_rest_by_group():
    said = overview(VERBS, {"canvas": "Shared documents.", "inbox": "Mail."})
    assert "\ntalk to agents\n  send HANDLE TEXT           Do send.\n\n" in said
    assert "\n  canvas                     Shared documents\n" in said
    assert "\n  inbox                      rename\n" in said, "a few commands are named"
    assert "canvas a" not in said
    assert "\n  cli                        completion, demo, help, ledger accept, plugin list, trust\n" in said


def test_what_is_not_installed_is_not_named():
    said = overview([SEND], {"canvas": "Shared documents."})
    assert "approv" not in said and "canvas" not in said and "enqueue" not in said and "hand out work" not in said


def test_all_names_every_command():
    said = overview(VERBS, {}, everything=True)
    assert "\ncanvas\n  canvas a NAME [SECTION]    Do canvas a.\n" in said
    assert "\ncli\n  serve " in said


def test_what_may_be_left_out_stands_in_brackets():
    assert usage(CANVAS[0]) == "canvas a NAME [SECTION]"
    assert usage(SEND) == "send HANDLE TEXT"


@pytest.mark.parametrize(
    ("words", "code"), [(["queue", "--help"], 0), (["queue", "-h"], 0), (["queue"], ConfigError.exit_code)]
)
def test_a_group_is_a_plugin_or_a_first_word(capsys, words, code):
    assert group(words, VERBS) == code
    assert capsys.readouterr().out.splitlines() == [
        "  enqueue                    Do enqueue.",
        "  queue list                 Do queue list.",
    ]


def test_the_shells_own_commands_are_a_group(capsys):
    assert group(["cli"], VERBS, asked=True) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {
        name.split()[0] for name, (_, text) in COMMANDS.items() if text
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "there is no command 'nonsense'. `aegis --help` lists the commands"),
        (["queue", "lst"], "there is no command 'queue lst'. Did you mean 'queue list'?"),
        (["snd"], "there is no command 'snd'. Did you mean 'send'? `aegis --help` lists the commands"),
    ],
)
def test_what_is_no_command(words, said):
    with pytest.raises(ConfigError) as caught:
        group(words, VERBS)
    assert str(caught.value) == said
