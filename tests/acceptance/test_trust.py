"""A project that nobody trusts, as it comes out of a clone: nothing of it is run, whoever starts aegis, and how."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from aegis_trust.trust import FOLDERS

PATIENCE = 30  # seconds after which a test says what it waited for
EVIL = "from pathlib import Path\nPath({mark!r}).touch()\n"


@pytest.fixture
def clone(aegis, tmp_path):
    """A project with everything in it that could run something; what does makes the file `mark`."""
    del aegis.environment[FOLDERS]
    aegis.mark = tmp_path / "ran"
    evil = EVIL.format(mark=str(aegis.mark))
    for name in ("flows/evil.py", "agent.py", "sitecustomize.py", "aegis_cli.py", "yaml.py", "json.py"):
        (aegis.root / name).parent.mkdir(exist_ok=True)
        (aegis.root / name).write_text(evil)
    shell = aegis.root / "shell"
    shell.write_text(f"#!/bin/sh\ntouch {aegis.mark}\n")
    shell.chmod(0o755)
    command = [sys.executable, "agent.py"]
    config = {
        "default_agent": "eve",
        "agents": {
            "eve": {"provider": "acp", "command": command, "permission": "full"},
            "mal": {"provider": "claude-code", "command": ["./shell"], "env": {"BASH_ENV": "shell"}},
        },
        "workflows": {"files": ["flows/*.py"]},
        "plugins": {"terminal": {"shell": "./shell"}},
    }
    (aegis.root / ".aegis.yaml").write_text(json.dumps(config))
    yield aegis
    assert not aegis.mark.exists(), "something of the project was run"
    assert aegis.left() == []


def test_nothing_starts_without_a_persons_yes(clone):
    for words in (("serve",), ("serve", "--clean"), ("serve", "--json"), ("--trust", "nothing-like-this"), ()):
        code = 2 if "--trust" in words else 3
        said = clone.run(*words, code=code)
        assert code == 2 or "aegis trust" in said.stderr + said.stdout
    said = clone.refuses("serve", code=3)
    assert "is not trusted, and nothing of it is run; `aegis trust` shows what would run" in said
    assert not (clone.root / ".aegis").exists(), "not even a state is made"


def test_what_clis_run_by_themselves_is_asked_about_without_a_configuration(clone):
    """A hook of Claude Code, which asks nobody when it is started by a program."""
    (clone.root / ".aegis.yaml").unlink()
    hook = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "./shell"}]}]}}
    (clone.root / ".claude").mkdir()
    (clone.root / ".claude" / "settings.json").write_text(json.dumps(hook))
    assert "is not trusted, and nothing of it is run" in clone.refuses("serve", code=3)
    assert "SessionStart" in clone.says("trust", "--show")
    with clone.serving("--trust"):
        assert clone.json("trust")["files"].keys() == {".claude/settings.json", "shell"}


LOOKS = (
    "--help", "help", "help --all", "doctor", "plugin list", "trust --show", "trust --list", "serve --help",
    "completion bash", "__complete 1 aegis spawn ''", "workflow list", "workflow run evil", "spawn eve", "sessions",
    "term spawn t", "config status", "events", "trust", "stop", "--version", "demo --plain",
)  # fmt: skip


@pytest.mark.parametrize("words", LOOKS)
def test_looking_at_it_runs_nothing(clone, words):
    done = subprocess.run(
        [clone.command, *words.split()], cwd=clone.root, env=clone.environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 2, 3, 4)


def test_what_would_run_is_shown_whole(clone):
    said = clone.says("trust", "--show")
    for part in ("not trusted", "agents.eve", "agent.py", "./shell", "flows/evil.py", "BASH_ENV", "permission: full"):
        assert part in said
    shown = clone.json("trust", "--show")
    assert shown["trusted"] is False and {"flows/evil.py", "agent.py", "shell"} <= shown["files"].keys()
    assert shown["state"] == "none" and "+from pathlib import Path" in shown["diff"]
    assert "nothing of it is run" in str(clone.json("doctor")["advice"]) or clone.json_of("doctor", code=1)


def test_what_would_run_is_shown_without_characters_that_take_over_a_screen(clone):
    (clone.root / ".aegis.yaml").write_text(
        'agents: {"a\\u001b[2Jb": {provider: acp, command: ["x\\u001b]0;y\\u0007"]}}'
    )
    assert "\x1b" not in clone.says("trust", "--show") and "\x07" not in clone.says("trust", "--show")


def harmless(aegis, text="agents: {ann: {provider: scripted}}\n"):
    (aegis.root / ".aegis.yaml").write_text(text)


def test_a_script_says_yes(clone):
    harmless(clone)
    assert "here is no terminal to ask at" in clone.refuses("trust", code=3)
    with clone.serving("--trust"):
        assert clone.json("trust")["trusted"]
    with clone.serving():
        assert clone.says("trust", "--list").endswith("--trust")
    clone.run("trust", "--revoke")
    assert "is not trusted" in clone.refuses("serve", code=3)
    assert "trusted as it is, since" in clone.says("trust", "--yes")
    with clone.serving():
        assert clone.says("spawn", "ann", "--handle", "bo") == "bo is here (ann)"


def test_what_an_agent_runs_trusts_nothing(clone):
    clone.environment["AEGIS_AGENT"] = "01K"
    for words in (("trust", "--yes"), ("serve", "--trust"), ("trust", "--revoke"), ("trust", "--believe-state")):
        assert "ask a person" in clone.refuses(*words, code=3)
    del clone.environment["AEGIS_AGENT"]
    assert "is not trusted" in clone.refuses("serve", code=3)


def test_a_change_while_it_runs_waits_and_every_surface_says_so(clone):
    harmless(clone)
    with clone.serving("--trust"):
        harmless(clone, "agents: {ann: {provider: scripted}, eve: {provider: scripted, permission: full}}\n")
        waits = ".aegis.yaml has changed"
        clone.eventually(lambda: waits in clone.says("config", "status"), "the change is noticed")
        assert waits in clone.run("sessions").stderr
        assert "there is no profile 'eve'" in clone.run("spawn", "eve", code=4).stderr
        assert "+agents: {ann" in clone.says("trust", "--show")
        clone.run("spawn", "ann")
        clone.run("trust", "--yes")
        clone.run("spawn", "eve")
        (clone.root / ".aegis.yaml").write_text("agents: {}\n")
        clone.eventually(lambda: waits in clone.says("config", "status"), "the change is noticed")
    assert waits in clone.refuses("serve", code=3)


def test_a_changed_file_that_is_named_is_noticed_while_it_runs(clone):
    harmless(clone, "agents: {ann: {provider: scripted, script: story.yaml}}\n")
    (clone.root / "story.yaml").write_text("rules: [{do: [{say: hello}]}]\n")
    with clone.serving("--trust"):
        (clone.root / "story.yaml").write_text("rules: [{do: [{shell: 'touch it'}]}]\n")
        clone.eventually(lambda: "story.yaml has changed" in clone.says("config", "status"), "the change is noticed")
        assert "story.yaml has changed" in clone.run("spawn", "ann", code=1).stderr
    assert not (clone.root / "it").exists()


def test_a_persons_rule_keeps_the_trust(clone):
    script = [{"do": [{"edit": "note.md", "text": "x"}, {"say": "done"}]}]
    harmless(clone, json.dumps({"agents": {"ann": {"provider": "scripted", "script": script}}}))
    with clone.serving("--trust"):
        clone.run("spawn", "ann", "--handle", "bo")
        clone.run("send", "bo", "go")
        clone.eventually(lambda: clone.json("approvals", "list"), "a request")
        [row] = clone.json("approvals", "list")
        clone.run("approvals", "allow", row["id"], "--always")
        assert clone.json("trust")["trusted"] and "match" in (clone.root / ".aegis.yaml").read_text()
        [rule] = clone.json("approvals", "rules")
        clone.run("approvals", "revoke", rule["id"])
    with clone.serving():
        assert clone.json("approvals", "rules") == []


def test_a_state_that_came_along_is_set_aside_with_a_word(clone, tmp_path):
    harmless(clone)
    with clone.serving("--trust"):
        clone.run("spawn", "ann", "--handle", "bo")
    theirs = tmp_path / "theirs"
    shutil.copytree(clone.root / ".aegis" / "state", theirs, ignore=shutil.ignore_patterns("*.sock"))
    shutil.rmtree(clone.root / ".aegis")
    shutil.rmtree(tmp_path / "home" / ".local")
    (clone.root / ".aegis").mkdir()
    theirs.rename(clone.root / ".aegis" / "state")
    assert clone.json("trust", "--show")["state"] == "foreign"
    assert "state was not made here by you: it will be set aside" in clone.says("trust", "--show")
    clone.run("trust", "--yes")
    with clone.serving() as server:
        assert clone.json("sessions") == []
        assert "is set aside as state.set-aside-" in clone.says("config", "status")
        clone.end(server)
    [aside] = (clone.root / ".aegis").glob("state.set-aside-*")
    shutil.rmtree(clone.root / ".aegis" / "state")
    aside.rename(clone.root / ".aegis" / "state")
    clone.run("trust", "--believe-state")
    with clone.serving():
        assert [row["handle"] for row in clone.json("sessions")] == ["bo"]


# -- at a terminal --------------------------------------------------------------------------------------------------


class Person:
    """Somebody at a terminal of their own, in which this command runs."""

    def __init__(self, aegis, words):
        self._master, slave = pty.openpty()
        code = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, aegis.command, *words], cwd=aegis.root, env=aegis.environment, stdin=slave
        )
        os.close(slave)
        self.seen = ""

    def sees(self, words):
        until = time.monotonic() + PATIENCE
        while not re.search(words, self.seen):
            assert time.monotonic() < until, f"no {words!r} in {self.seen}"
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self._master, 65_536).decode(errors="replace")
                except OSError:  # the other side has ended
                    assert re.search(words, self.seen), f"no {words!r} in {self.seen}"

    def types(self, text):
        self.seen = ""
        os.write(self._master, text.encode())

    def close(self):
        os.close(self._master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def person(aegis, *words):
    one = Person(aegis, words)
    try:
        yield one
    finally:
        one.close()


QUESTION = r"Trust this project\? \[y\]es, \[n\]o, \[s\]how all of it: "


@pytest.mark.parametrize("words", [("trust",), ("serve",), ()])
@pytest.mark.parametrize("answer", ["n\n", "\n", "nonsense\n", "\x04"])
def test_a_person_who_does_not_say_yes_has_said_no(clone, words, answer):
    with person(clone, *words) as one:
        one.sees(QUESTION)
        assert all(part in one.seen for part in ("agents.eve", "agent.py", "flows/evil.py"))
        one.types(answer)
        one.sees("nothing of it is run")
        assert one.process.wait(PATIENCE) == 3
    assert not clone.json("trust", "--show")["trusted"]


def test_a_person_says_yes_once(clone):
    harmless(clone)
    with person(clone, "trust") as one:
        one.sees(QUESTION)
        one.types("s\n")
        one.sees(r"\+agents: \{ann: \{provider: scripted\}\}(.|\s)*" + QUESTION)
        one.types("y\n")
        one.sees("trusted as it is, since")
        assert one.process.wait(PATIENCE) == 0
    with clone.serving():
        assert clone.json("trust")["by"] == "aegis trust"


def test_the_repl_asks_at_its_first_start_and_about_a_change(clone):
    harmless(clone)
    with person(clone) as one:
        one.sees(QUESTION)
        one.types("y\n")
        one.sees("No agent is here yet")
        harmless(clone, "agents: {bob: {provider: scripted}}\n")
        one.sees("has changed")
        one.types("\x11")
        assert one.process.wait(PATIENCE) == 0
    with person(clone) as one:
        one.sees(r"-agents: \{ann(.|\s)*\+agents: \{bob(.|\s)*Trust the change\?")
        one.types("y\n")
        one.sees("No agent is here yet")
        one.types("\x11")
        assert one.process.wait(PATIENCE) == 0


def test_a_no_to_a_change_joins_the_kernel_that_goes_on_without_it(clone):
    harmless(clone)
    with clone.serving("--trust"):
        harmless(clone, "agents: {bob: {provider: scripted}}\n")
        with person(clone) as one:
            one.sees(r"Trust the change\?")
            one.types("n\n")
            one.sees("has changed")
            one.sees("spawn takes a profile")
            one.types("\x11")
            assert one.process.wait(PATIENCE) == 0
        assert "there is no profile 'bob'" in clone.run("spawn", "bob", code=4).stderr


def test_a_folder_of_ones_own_is_not_asked_about(clone):
    shutil.rmtree(clone.root)
    clone.root.mkdir()
    with person(clone) as one:
        one.sees("No agent is here yet")
        one.types("\x11")
        assert one.process.wait(PATIENCE) == 0
    with clone.serving():
        assert clone.json("trust")["trusted"]
