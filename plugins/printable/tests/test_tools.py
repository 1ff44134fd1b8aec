"""A tool's use as one line, the same on every surface."""

import pytest

from aegis_printable.tools import tool_call, tool_name, tool_result


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("mcp__aegis__aegis_handoff", "aegis_handoff"), ("mcp_aegis_aegis_handoff", "aegis_handoff"),
        ("aegis_aegis_close", "aegis_close"), ("aegis_close", "aegis_close"),
        ("mcp__other__rm", "rm"), ("Bash", "Bash"),
    ],
)  # fmt: skip
def test_a_tool_has_the_name_without_its_servers(name, bare):
    assert tool_name(name) == bare


@pytest.mark.parametrize(
    ("name", "title", "given", "line"),
    [
        ("aegis_handoff", "b-b", {"target": "b-b", "context": "look"}, "aegis_handoff(target=b-b, context=look)"),
        ("aegis_close", "b-b", {"handle": "b-b"}, "aegis_close(handle=b-b)"),
        ("Bash", "list files", {"command": "rm -rf build", "description": "list files"}, "Bash(rm -rf build)"),
        ("Edit", "", {"file_path": "a.py", "old_string": "x" * 900}, "Edit(a.py)"),
        ("aegis_handoff", "aegis_handoff bo", None, "aegis_handoff(bo)"), ("Think", "", {}, "Think"),
        ("aegis_x", "", {"a": 1, "b": [], "c": {"d": "é"}}, 'aegis_x(a=1, c={"d": "é"})'),
        ("Bash", "", {"command": "ls\nallowed \u202e"}, "Bash(ls\\nallowed \\u202e)"), ("", "", None, "tool"),
    ],
)  # fmt: skip
def test_a_use_says_the_name_and_what_it_was_used_with(name, title, given, line):
    assert tool_call(name, title, given) == line


def test_nothing_is_longer_than_asked_for():
    assert len(tool_call("x", "y" * 500, longest=80)) == 80
    assert tool_result("\n\n first \x1b[2J\nsecond") == "first \\x1b[2J"
    assert len(tool_result("y" * 500)) == 200
