"""A package of somebody else, from its wheel: its verb is on every surface, and goes when it goes."""

import json
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
from uv import find_uv_bin

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(120)]
PROJECT = """
agents:
  gambler:
    provider: scripted
    script:
      - do:
          - call: aegis_dice_roll
            args: {count: 3, sides: 1}
          - say: "{reply}"
"""


NEEDED = (
    "aegis-microkernel", "aegis-jsonrpc", "aegis-mcp", "aegis-cli", "aegis-repl", "aegis-inbox", "aegis-scripted",
    "acme-aegis-dice",
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(clean):
    return clean(*NEEDED)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".aegis.yaml").write_text(PROJECT)
    return folder


@contextmanager
def serving(installed, project):
    command = [installed.bin / "aegis", "serve"]
    with subprocess.Popen(
        command, cwd=project, env=installed.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as kernel:
        try:
            assert kernel.stdout.readline(), "aegis serve says when it is ready"
            yield
        finally:
            kernel.send_signal(signal.SIGTERM)
            assert kernel.wait(10) == 0


def test_people_throw_dice_in_the_shell(installed, project):
    with serving(installed, project):
        said = json.loads(installed.run("aegis", "--json", "dice", "roll", "--count", "3", "--sides", "1", cwd=project))
        assert said["value"]["eyes"] == [1, 1, 1]
        assert said["value"]["thrown_by"].startswith("human:")
        assert "how many sides each has" in installed.run("aegis", "dice", "roll", "--help", cwd=project)


def test_agents_throw_dice_over_mcp(installed, project):
    with serving(installed, project):
        installed.run("aegis", "spawn", "gambler", "--handle", "bo", cwd=project)
        reply = installed.run("aegis", "send", "bo", "throw", "--wait", cwd=project)
        assert '"total":3' in reply.replace(" ", "")
        assert "agent:bo" in reply


def test_people_throw_dice_in_the_repl(installed, project, tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not here to type into a terminal")
    tmux = ["tmux", "-S", str(tmp_path / "tmux")]

    def terminal(*words):
        run = subprocess.run(
            [*tmux, *words], env=installed.variables, cwd=project, capture_output=True, text=True, check=True
        )
        return run.stdout

    def wait_screen(text):
        until = time.monotonic() + 30
        while text not in (screen := terminal("capture-pane", "-p")):
            assert time.monotonic() < until, f"{text!r} never came; the screen:\n{screen}"
            time.sleep(0.05)

    with serving(installed, project):
        terminal("new-session", "-d", "-x", "100", "-y", "30", str(installed.bin / "aegis"))
        try:
            wait_screen("›")
            terminal("send-keys", "-l", "/dice roll --count 3 --sides 1")
            terminal("send-keys", "Enter")
            wait_screen("total")
        finally:
            terminal("kill-server")


def test_it_goes_without_a_trace(clean, project, done):
    installed = clean(*NEEDED)
    done(find_uv_bin(), "pip", "uninstall", "-q", "--python", installed.bin / "python", "acme-aegis-dice")
    with serving(installed, project):
        call = [installed.bin / "aegis", "dice", "roll"]
        answer = subprocess.run(call, cwd=project, env=installed.variables, capture_output=True, text=True, check=False)
        assert answer.returncode in {2, 4}
        assert "dice" in answer.stderr
        assert "dice" not in installed.run("aegis", "--help", cwd=project)
