"""A value in a command is one word, whatever is in it; where quotes would not hold, none is put."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_workflow.command_line import command_line

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
NASTY = st.sampled_from(["$(touch x)", "`x`", "'; x; '", '"', "-rf", "a\nb", "#", "{b}", "\\", "*", "~", "!", ""])


def said(line: str) -> list[str]:
    """Return the words that a shell hands to a program."""
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True, cwd="/")
    return done.stdout.decode().split("\0")[:-1]


@given(TEXT | NASTY, TEXT | NASTY)
def test_a_value_is_one_word(one, two):
    assert said(command_line("printf '%s\\0' {a} x{b}y", {"a": one, "b": two})) == [one, f"x{two}y"]
    assert said(command_line(["printf", "%s\\0", one, two], {})) == [one, two]
    assert said(command_line("printf '%s\\0' {both}", {"both": [one, two]})) == [one, two]


def test_what_is_no_place_of_a_value_stays():
    assert command_line("echo ${x} {y} '{z}' {a}", {"a": "1 2"}) == "echo ${x} {y} '{z}' '1 2'"
    assert command_line("awk '{print $1}' {a}", {}) == "awk '{print $1}' {a}", "without values nothing is replaced"
    assert command_line("a \\\" {a} \\' {a}", {"a": "x y"}) == "a \\\" 'x y' \\' 'x y'"
    assert command_line("echo a#b {a}", {"a": 3}) == "echo a#b 3"
    assert command_line("cat {a}", {"a": Path("b c")}) == "cat 'b c'"


@pytest.mark.parametrize(
    "cmd",
    ["echo '{a}'", 'echo "{a}"', 'echo "$(echo {a})"', "echo `echo {a}`", "true # {a}", "cat <<E\n{a}\nE", "\\{a}"],
)
def test_where_quotes_would_not_hold_it_is_refused(cmd):
    with pytest.raises(ValueError, match=r"inside quotes or a comment|here-document"):
        command_line(cmd, {"a": "x"})


def test_a_value_without_a_place_or_that_is_no_word_is_refused():
    with pytest.raises(TypeError, match=r"no place \{b\} for the value 'b'"):
        command_line("echo {a}", {"a": 1, "b": 2})
    for value in (None, True, {"x": 1}, b"x", object()):
        with pytest.raises(TypeError, match="is no word for a command"):
            command_line("echo {a}", {"a": value})
    with pytest.raises(ValueError, match="NUL"):
        command_line("echo {a}", {"a": "\0"})
    with pytest.raises(TypeError, match="takes no values"):
        command_line(["echo"], {"a": 1})
