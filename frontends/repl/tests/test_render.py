import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Refused
from aegis import events as e
from aegis_repl import render


def plain(lines):
    return ["".join(text for _, text in line) for line in lines]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "a\\x1b[31mred\\x1b[0m b"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
        ("1%\r2%\r\n", "1%\\r2%\n"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("a\tb", "a   b"),
    ],
)
def test_nothing_a_terminal_obeys_is_left(said, shown):
    assert render.clean(said) == shown


@pytest.mark.fuzz
@given(st.text(alphabet=st.sampled_from("ab\x1b[]0;m\x07\x9b\x9d?\\PX^_\r\x08 (#")))
def test_no_control_survives_whatever_is_mixed(text):
    assert not [c for c in render.clean(text) if ord(c) < 32 or 127 <= ord(c) < 160]


def test_a_diff_shows_what_changed_and_counts_the_rest():
    old = "\n".join(["same", *(f"old {n}" for n in range(5)), "end"])
    new = "\n".join(["same", *(f"new {n}" for n in range(5)), "end"])
    lines = plain(render.event(e.ToolResult("1", "done", diff=("f", old, new))))
    assert lines[:3] == ["  └ ok done", "    - old 0", "    - old 1"]
    assert len(lines) == 1 + render.DIFF_ROWS + 1
    assert lines[-1] == "    … 4 more lines"


def test_a_failed_edit_shows_no_diff():
    assert plain(render.event(e.ToolResult("1", "no", is_error=True, diff=("f", "a", "b")))) == ["  └ error no"]


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (e.TurnEnded("completed", cost_usd=0), "── done ──"),
        (e.TurnEnded("completed"), "── done · cost unknown ──"),
        (e.TurnEnded("completed", seconds=0.4, cost_usd=0.0012), "── done in 0.4s · $0.0012 ──"),
        (e.TurnEnded("cancelled", seconds=3), "── stopped in 3.0s · cost unknown ──"),
        (e.TurnEnded("failed", reason="exit code 1\nmore", cost_usd=0), "── failed · exit code 1 ──"),
        (e.TurnEnded("refused", reason="budget", cost_usd=0), "── refused · budget ──"),
    ],
)
def test_how_a_turn_ended(ended, line):
    assert plain([render.ending(ended)]) == [line]


def test_a_persons_words_stand_as_they_were_typed():
    mine = {"id": "1", "sender": "human:anna", "recipient": "x", "at": "2026-01-05T10:00:00Z", "body": "one\ntwo"}
    assert plain(render.delivered(e.Delivered(mine), "human:anna")) == ["› one", "  two"]
    assert plain(render.delivered(e.Delivered(mine), "human:bob")) == ["human:anna › one", "  two"]
    assert plain(render.delivered(e.Delivered(mine, 2), "human:anna")) == ["› one  · waits, 2 in line", "  two"]


def test_mail_is_a_block_and_cannot_imitate_another():
    body = "\n".join(["\x1b[1m✉ from human:root · now", "2", "3", "4", "5", "6"])
    mail = {"id": "1", "sender": "agent:a", "recipient": "x", "at": "2026-01-05T10:00:00Z", "body": body}
    assert plain(render.delivered(e.Delivered(mail))) == [
        "✉ from agent:a · 10:00:00Z", "  \\x1b[1m✉ from human:root · now", "  2", "  3", "  4", "  … (2 more lines)",
    ]  # fmt: skip


def test_a_malformed_envelope_is_still_shown():
    assert plain(render.delivered(e.Delivered({"id": 7}))) == ['· {"id": 7}']


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (None, ["done"]),
        ("one\ntwo", ["one", "two"]),
        ({"id": "01", "recipient": "wry-hopper", "state": "accepted"}, ["landed at wry-hopper"]),
        ({"handle": "a", "reason": "", "queued": 3}, ["handle  a", "queued  3"]),
        ({"said": "one\ntwo\n", "exit": 0, "late": False}, ["exit  0", "one", "two"]),
        ([{"handle": "a", "none": ""}, {"handle": "bcd", "none": ""}], ["handle", "a", "bcd"]),
        ([{"a": "x", "b": 0}, {"a": "xyz", "b": 22}], ["a    b", "x    0", "xyz  22"]),
        (["x", 2], ["x", "2"]),
        ([], ["nothing"]),
        (3, ["3"]),
    ],
)
def test_what_a_verb_gave_back(value, lines):
    assert plain(render.answer(value)) == lines


def test_a_refusal_is_its_sentence_and_a_fault_is_named():
    assert plain(render.refusal(Refused("no such agent"))) == ["✗ no such agent"]
    assert plain(render.refusal(KeyError("x"))) == ["✗ KeyError: 'x'"]


def test_a_recalled_turn_begins_like_mail_and_one_that_never_was_is_nothing():
    text = "> from human:anna · 2026-01-05T10:00:00Z\n> id 01X\n  hello\n\nyes\n\n-- turn completed in 0.1 s"
    shown = ["✉ from human:anna · 2026-01-05T10:00:00Z", "  hello", "", "yes", "", "-- turn completed in 0.1 s"]
    assert plain(render.recalled(text, 20)) == shown
    assert plain(render.recalled(text, 2)) == shown[-2:]
    assert render.recalled("lucid-knuth has not had a turn yet", 20) == []


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (e.ToolCall("1", "mcp__aegis__aegis_handoff", "bo"), "⏺ aegis_handoff(bo)"),
        (e.ToolCall("1", "aegis_handoff", "aegis_handoff bo look"), "⏺ aegis_handoff(bo look)"),
        (e.ToolCall("1", "Bash", "make", "execute"), "⌬ Bash(make)"),
    ],
)
def test_a_tool_is_named_once(call, shown):
    assert plain(render.event(call)) == [shown]


def test_a_question_names_what_and_not_twice():
    assert render.wants(e.PermissionAsked("1", "shell", "execute", "shell make test")) == "shell: make test"


def test_a_line_that_is_too_long_is_clipped_by_cells():
    assert plain([render.clipped([("a", "漢字"), ("b", "xyz")], 6)]) == ["漢字x…"]
    assert plain([render.clipped([("a", "漢字"), ("b", "x")], 5)]) == ["漢字x"]
    assert plain([render.clipped([("a", "漢字"), ("b", "x")], 2)]) == ["…"]


def test_an_answer_is_said_once():
    assert plain(render.event(e.PermissionAnswered("1", "allowed", "allowed by anna"))) == ["  └ allowed by anna"]
    assert plain(render.event(e.PermissionAnswered("1", "denied", "not today"))) == ["  └ denied: not today"]
