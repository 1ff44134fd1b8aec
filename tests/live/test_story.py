"""The main job, as a person sees it in the REPL: person → Claude → handoff → scripted agent → handoff back → Claude."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_server import Model, tool_use
from stage import scrubbed

AEGIS = Path(sys.executable).with_name("aegis")
SCRIPT = [
    {
        "when": "which word",
        "do": [
            {"call": "aegis_handoff", "args": {"target_handle": "calm-codd", "context": "the word is plinth"}},
            {"say": "told calm-codd"},
        ],
    }
]


class Terminal:
    """A tmux server of the test's own, with `aegis` in its one window."""

    def __init__(self, folder: Path, project: Path, environment: dict[str, str]) -> None:
        self._socket = folder / "tmux"
        words = [f"{k}={v}" for k, v in (environment | {"TERM": "tmux-256color"}).items()]
        aegis = shlex.join(["env", "-i", *words, str(AEGIS)])
        command = shlex.join(["sh", "-c", f"{aegis}; echo left with $?; exec cat"])  # tmux may be late to see an end
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-c", str(project), command)

    def tmux(self, *arguments: str) -> str:
        """Return what tmux says to a command."""
        command = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def wait(self, pattern: str, seconds: float = 40) -> str:
        """Return all that was shown so far once the pattern is in it; fail, showing it, if it never comes."""
        deadline = time.monotonic() + seconds
        while True:
            shown = self.tmux("capture-pane", "-p", "-S", "-")
            if re.search(pattern, shown):
                return shown
            assert time.monotonic() < deadline, f"{pattern!r} never came:\n{shown}"
            time.sleep(0.05)  # a terminal cannot be waited for, only looked at


@pytest.fixture
def terminal(tmp_path: Path, claude: str, model: Model) -> Iterator[Terminal]:
    """`aegis` at work in a project with one real Claude Code and one scripted agent."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    worker = {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5", "permission": "auto"}
    agents = {"worker": worker, "bob": {"provider": "scripted", "script": SCRIPT}}
    (project / ".aegis.yaml").write_text(json.dumps({"default_agent": "worker", "agents": agents}))  # JSON is YAML
    terminal = Terminal(tmp_path, project, scrubbed(home, model))
    yield terminal
    terminal.tmux("kill-server")


@pytest.mark.ability("hand-over")
def test_a_person_watches_claude_hand_work_over_and_get_it_back(terminal: Terminal, model: Model) -> None:
    handoff = tool_use("mcp__aegis__aegis_handoff", target_handle="wry-hopper", context="which word?")
    model.follow(
        {"when": "ask wry-hopper", "say": [handoff]},
        {"when": "the word is plinth", "say": "wry-hopper says plinth"},
        {"on": "tool_result", "say": "sent"},
    )
    terminal.wait("Trust this project")
    terminal.type("y")
    terminal.wait("/spawn")
    terminal.type("/spawn bob --handle wry-hopper")
    terminal.wait("1 wry-hopper")
    terminal.type("/spawn worker --handle calm-codd")
    terminal.wait("2 calm-codd")
    terminal.type("/tab calm-codd")
    terminal.type("please ask wry-hopper for the word")
    shown = terminal.wait(r"wry-hopper says plinth")
    assert re.search(r"✉ from agent:wry-hopper · \d\d:\d\d:\d\dZ.*\n\s+the word is plinth", shown), shown
    assert "aegis_handoff" in shown
    terminal.type("/tab wry-hopper")
    shown = terminal.wait(r"✉ from agent:calm-codd · \d\d:\d\d:\d\dZ.*\n\s+which word\?")
    assert "told calm-codd" in shown
    terminal.type("/quit")
    terminal.wait(r"left with 0")
