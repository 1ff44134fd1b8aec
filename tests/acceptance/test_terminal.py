"""Terminals of a real kernel: shared from the shell, sat down at, killed in the middle of a run."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from aegis.testing.processes import those, with_variable

AEGIS = str(Path(sys.executable).with_name("aegis"))
PATIENCE = 30
SECRET = "ghp_" + "x9Y8z7W6" * 5


def marked(aegis, name: str = "") -> list[psutil.Process]:
    """Return the processes that live in this home, all or of one name, without the kernel and its callers."""
    ours = with_variable("HOME", aegis.environment["HOME"])
    return those(lambda process: "AEGIS_TERM" in process.environ() and name in process.name(), ours)


@contextmanager
def begun(aegis, command: str) -> Iterator[subprocess.Popen]:
    """Have a command run that makes the file `mark` and does not end."""
    with aegis.start("term", "run", "build", command) as caller:
        try:
            aegis.eventually((aegis.root / "mark").exists, f"the beginning of {command!r}")
            yield caller
        finally:
            caller.kill()


@contextmanager
def serving(aegis) -> Iterator[subprocess.Popen]:
    """Have a kernel that the test ends itself."""
    with aegis.start("serve") as server:
        try:
            aegis.wait_for_line(server, "aegis runs in")
            yield server
        finally:
            aegis.end(server)


def test_a_command_in_a_terminal_is_the_shells_exit_code(aegis):
    with aegis.serving():
        aegis.run("term", "spawn", "build")
        aegis.run("term", "run", "build", "true")
        aegis.run("term", "run", "build", "false", code=1)
        aegis.run("term", "run", "build", "exit_with() { return $1; }; exit_with 42", code=42)
        aegis.run("term", "run", "build", "sleep 60", "--timeout", "0.2", code=124)
        aegis.run("term", "keys", "build", "ctrl-c")
        aegis.run("term", "run", "build", "true")
        aegis.run("term", "run", "build", "exit 5", code=1)
        aegis.run("term", "read", "build")  # looking at what failed is no failure


def test_a_terminal_from_the_shell(aegis):
    with aegis.serving():
        assert aegis.says("term", "spawn", "build").startswith(f"build: /bin/bash in {aegis.root} (pid ")
        assert re.fullmatch(r"one\n\[0\] exit 0 · \d\.\d\ds", aegis.says("term", "run", "build", "echo one"))
        assert aegis.json_of("term", "run", "build", "(exit 3)", code=3)["exit"] == 3
        assert [run["seq"] for run in aegis.json("term", "read", "build")] == [0, 1]
        assert "one" in aegis.says("term", "tail", "build")
        assert aegis.refuses("term", "run", "buidl", "true", code=4).startswith("there is no terminal 'buidl'")
        assert aegis.says("term", "close", "build") == "done"
        assert marked(aegis) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what is left is seen in /proc")
def test_a_kernel_killed_in_a_run_leaves_no_shell_and_the_run_is_said_to_be_killed(aegis):
    with serving(aegis) as server:
        aegis.run("term", "spawn", "build")
        aegis.run("term", "run", "build", f"echo {SECRET}")
        with begun(aegis, f"nohup setsid sleep 600 & echo {SECRET}; touch mark; sleep 600") as caller:
            aegis.eventually(lambda: len(marked(aegis, "sleep")) == 2, "two programs in the shell")
            server.kill()
            caller.wait(PATIENCE)
    aegis.eventually(lambda: not marked(aegis, "bash"), "the end of the shell")
    with aegis.serving():
        aegis.eventually(lambda: not marked(aegis), "the end of what had cut itself loose, with the next start")
        first, killed = aegis.json("term", "read", "build")
        assert (first["seq"], first["exit"], first["killed_by_restart"]) == (0, 0, False)
        assert (killed["seq"], killed["exit"], killed["killed_by_restart"]) == (1, None, True)
        refused = aegis.refuses("term", "run", "build", "true", code=3)
        assert "the terminal 'build' is closed: aegis ended its shell" in refused
        aegis.run("term", "spawn", "build")
        assert aegis.json("term", "run", "build", "true")["seq"] == 2
        lines = (aegis.root / ".aegis/state/terminals/build/ledger.jsonl").read_text()
        assert [word in lines for word in ('"killed_by_restart":true', '"terminal":"build"')] == [True, True]
    kept = b"".join(f.read_bytes() for f in (aegis.root / ".aegis").rglob("*") if f.is_file())
    assert b"[redacted]" in kept
    assert SECRET.encode() not in kept
    assert SECRET[8:].encode() not in kept


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_quitting_in_a_run_leaves_nothing(aegis, shell, record_property):
    if not any((os.access(f"{d}/{shell}", os.X_OK)) for d in os.environ["PATH"].split(os.pathsep)):
        pytest.skip(f"{shell} is not installed")
    with serving(aegis) as server:
        for name in ("build", "other", "third"):
            aegis.run("term", "spawn", name, "--shell", shell)
        with begun(aegis, "trap '' HUP TERM INT; touch mark; sleep 600") as caller:
            record_property("seconds", round(aegis.end(server, signal.SIGTERM), 2))
            assert server.returncode == 0
            caller.wait(PATIENCE)
    assert marked(aegis) == []


def test_attach_typed_in_a_terminal_attaches(aegis):
    with aegis.serving():
        aegis.run("term", "spawn", "build")
        aegis.run("term", "run", "build", "PS1='here> '; clear")
        master, slave = pty.openpty()
        person = subprocess.Popen(
            [AEGIS, "term", "attach", "build"], cwd=aegis.root, env=aegis.environment, stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

        def sees(words: str) -> None:
            seen, until = "", time.monotonic() + PATIENCE
            while words not in seen:
                assert time.monotonic() < until, f"{words!r} is not in {seen!r}"
                if select.select([master], [], [], 0.1)[0]:
                    seen += os.read(master, 65_536).decode(errors="replace")

        try:
            sees("here>")
            os.write(master, b"echo $((40 + 2))\r")
            sees("42")
            os.write(master, b"\x1d")
            sees("detached from build; its shell goes on")
            assert person.wait(PATIENCE) == 0
        finally:
            person.kill()
            person.wait()
            os.close(master)
        assert aegis.says("term", "attach", "build").startswith("this needs a terminal of your own; type there: `")
        assert aegis.json("term", "attach", "build")["argv"][-1] == "build"
