"""What `aegis` inherits of signals from whoever starts it, and what it passes on: nothing."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from aegis.testing.processes import DEAF_TO, deafened

CONFIG = """\
agents:
  brief:
    provider: scripted
    script: [{do: [{exit: 3}]}]
"""


@pytest.fixture
def deaf(aegis):
    """The kernel of a project, started by somebody who hears nothing."""
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    server = subprocess.Popen(
        deafened(aegis.command, "serve"), cwd=aegis.root, env=aegis.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        aegis.wait_for_line(server, "aegis runs in")
        yield server
        if server.poll() is None:
            aegis.run("stop")
    finally:
        aegis.end(server, signal.SIGKILL)


def test_what_is_ignored_stays_ignored(aegis, deaf):
    for number in DEAF_TO:
        deaf.send_signal(number)
        assert aegis.json("sessions") == [], f"it goes on after {number.name}: who started it wanted that ignored"
    aegis.run("stop")
    assert deaf.wait(30) == 0


@pytest.mark.usefixtures("deaf")
def test_a_shell_and_an_agent_hear_everything(aegis):
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not show what a process ignores")
    aegis.run("term", "spawn", "build")
    said = aegis.says("term", "run", "build", "grep -E 'Sig(Blk|Ign)' /proc/self/status")
    masks = {name: int(mask, 16) for name, mask in re.findall(r"Sig(Blk|Ign):\s*(\w+)", said)}
    deaf_to = sum(1 << number - 1 for number in DEAF_TO)
    assert {name: mask & deaf_to for name, mask in masks.items()} == {"Blk": 0, "Ign": 0}


@pytest.mark.usefixtures("deaf")
def test_ctrl_c_reaches_a_shell(aegis):
    aegis.run("term", "spawn", "build")
    with aegis.start("term", "run", "build", "touch mark; sleep 600") as caller:
        aegis.eventually((aegis.root / "mark").exists, "the command")
        aegis.run("term", "keys", "build", "ctrl-c")
        assert caller.wait(30) == 130, "the command's own code"
        assert "exit 130" in caller.stdout.read()


@pytest.mark.usefixtures("deaf")
def test_the_exit_code_of_an_agent_is_told(aegis):
    aegis.run("spawn", "brief", "--handle", "ada")
    aegis.run("send", "ada", "hello")
    aegis.eventually(lambda: "exited with code 3" in str(aegis.json("sessions")), "the end of the agent")
