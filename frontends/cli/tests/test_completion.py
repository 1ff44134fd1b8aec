"""What may stand where a person is typing."""

import pytest

from aegis_cli.completion import SCRIPTS, Completion
from aegis_cli.shell import Shell


@pytest.fixture
def complete(project):
    """Complete in a project without a kernel: from the index alone."""

    def candidates(*words):
        return [value for value, _ in Completion(Shell(str(project)), words).candidates()]

    return candidates


def test_commands_and_verbs(complete):
    assert {"send", "serve", "sessions", "spawn", "stop"} <= set(complete("s"))
    assert all(name.startswith("s") for name in complete("s"))
    assert "__complete" not in complete("")


def test_the_second_word(complete):
    assert {"allow", "deny", "list"} <= set(complete("approvals", ""))
    assert "--json" not in complete("approvals", "")
    assert complete("plugin", "l") == ["list"]


def test_flags(complete):
    assert {"--wait", "--interrupt", "--json"} <= set(complete("send", "ada", "--"))
    assert "--follow" in complete("events", "--f")
    assert "--version" in complete("--v")


def test_words_of_our_own(complete):
    assert complete("completion", "z") == ["zsh"]


def test_folders(complete, project):
    (project / "inner").mkdir()
    assert complete("-C", f"{project}/in") == [f"{project}/inner"]


def test_nothing_live_without_a_kernel(complete):
    assert complete("send", "") == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_asks_us(shell):
    assert "aegis __complete" in SCRIPTS[shell]
