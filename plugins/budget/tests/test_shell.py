"""Budgets as people meet them: a kernel of its own process, scripted agents, the shell."""

import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aegis.plugins import ONLY
from aegis_trust.trust import FOLDERS

AEGIS = Path(sys.executable).with_name("aegis")
PATIENCE = 30
OURS = "budget,cli,inbox,mcp,scripted"
CONFIG = r"""
agents:
  capped:
    provider: scripted
    script:
      - {when: "own budget", do: [{call: aegis_budget_status}, {say: "{reply}"}]}
      - {do: [{say: done}, {usage: {input: 5, output: 1000, cost: 0.02}}]}
  long:
    provider: scripted
    script: [{do: [{raw: "{\"t\": \"Usage\", \"output\": 900}\n"}, {never_end: true}]}]
budgets:
  profiles:
    capped: [{usd: 0.03, window: 1h}]
    long: [{output_tokens: 500, window: 1h}]
"""


@pytest.fixture
def aegis(tmp_path):
    """Run `aegis WORDS` in a project whose kernel is served; returns exit code, standard output and error."""
    for name in ("home", "project"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / ".aegis.yaml").write_text(CONFIG)
    path = f"{AEGIS.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {"PATH": path, "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8", ONLY: OURS, FOLDERS: str(tmp_path)}
    common = {"cwd": tmp_path / "project", "env": environment, "text": True, "stdin": subprocess.DEVNULL}

    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run([AEGIS, *words], capture_output=True, timeout=PATIENCE, check=False, **common)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([AEGIS, "serve"], **pipes, **common) as server, selectors.DefaultSelector() as ready:
        ready.register(server.stdout, selectors.EVENT_READ)
        assert ready.select(PATIENCE), "it did not start"
        assert server.stdout.readline().startswith("aegis runs in")
        try:
            yield run
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()


def test_a_capped_profile_is_refused_with_the_sentence(aegis):
    assert aegis("spawn", "capped", "--handle", "ada")[0] == 0
    for _ in range(2):
        assert aegis("send", "ada", "work", "--wait") == (0, "done", "")
    code, out, err = aegis("send", "ada", "work", "--wait")
    assert (code, out) == (1, "")
    assert "profile 'capped' over budget: profile:capped: $0.04 of $0.03 in 1h spent, until 20" in err
    assert aegis("close", "ada")[0] == 0
    totals = {row["by"]: row["usd"] for row in json.loads(aegis("--json", "budget", "spent", "2h")[1])["value"]}
    assert totals == {"agent": "0.04", "profile": "0.04", "project": "0.04"}
    sheet = aegis("budget", "show", "profile:capped")[1]
    assert sheet.startswith("profile:capped: $0.03 in 1h (interrupt): 0.04 spent, -0.01 left, until 20")
    assert sheet.endswith("ada  $0.02, 1000 output tokens, completed")


def test_json_carries_the_rejection(aegis):
    aegis("spawn", "capped", "--handle", "ada")
    for _ in range(2):
        aegis("send", "ada", "work", "--wait")
    [row] = [r for r in json.loads(aegis("--json", "budget", "list")[1])["value"] if r["scope"] == "profile:capped"]
    assert (row["spent"], row["left"]) == ("0.04", "-0.01")
    assert row["blocked_until"].endswith("Z")
    code, out, _ = aegis("--json", "budget", "show", "profile:caped")
    assert code == 4
    assert "Did you mean 'profile:capped'" in json.loads(out)["error"]["message"]


def test_an_agent_reads_its_own_budget_over_the_plane(aegis):
    aegis("spawn", "capped", "--handle", "ada")
    status = json.loads(aegis("send", "ada", "your own budget", "--wait")[1])
    assert status["queues"] == []
    assert [(c["scope"], c["limit"], c["window"]) for c in status["own"]] == [("profile:capped", "0.03", "1h")]


def test_a_turn_that_passes_its_budget_is_interrupted(aegis):
    aegis("spawn", "long", "--handle", "eve")
    code, _, err = aegis("send", "eve", "work", "--wait")
    assert code == 1, "without the budget it would never end"
    assert "cancelled" in err
    [row] = [r for r in json.loads(aegis("--json", "budget", "list")[1])["value"] if r["scope"] == "profile:long"]
    assert (row["spent"], row["left"]) == ("900", "-400")


def test_a_mistake_stops_the_start(tmp_path):
    (tmp_path / ".aegis.yaml").write_text(CONFIG.replace("    capped: [", "    caped: ["))
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(tmp_path),
        ONLY: OURS,
        FOLDERS: str(tmp_path),
    }
    done = subprocess.run(
        [AEGIS, "serve"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert "budgets.profiles.caped: there is no profile 'caped'" in done.stderr
    assert "Did you mean 'capped'?" in done.stderr
