"""Workflows as a person has them: typed at the shell, followed, asked, killed in the middle, decided."""

import json
import signal
from pathlib import Path

import pytest

from aegis.testing.processes import runs

CONFIG = r"""
agents:
  coder:
    provider: scripted
    permission: full
    script:
      - when: 'Write a test'
        do: [{edit: tests/test_door.py, text: "the test"}, {say: "a test that fails"}]
      - when: 'Now make'
        do: [{edit: door.py, text: "wrong"}, {say: "done"}]
      - when: 'still fail'
        do: [{edit: door.py, text: "right"}, {say: "mended"}]
      - do: [{say: "{body}"}]
  writer:
    provider: scripted
    script:
      - do: [{say: "# A door"}]
  critic:
    provider: scripted
    script:
      - do: [{fail: "the model is overloaded"}]
workflows:
  files: [flows/*.py]
  config:
    tdd-cycle:
      implementer: coder
      reviewer: coder
      test_command: "grep -q right door.py && test -e {path} || {{ echo FAIL; exit 1; }}"
    review_branch: {reviewers: [coder, critic, coder]}
    brainstorm_to_spec: {writer: writer}
"""
FLOW = '''
import os
import subprocess

from aegis_workflow.api import workflow


@workflow("release-notes")
async def release_notes(engine, since: str, name: str = "", count: int = 1, loud: bool = False, tags: list[str] = ()):
    """Say what is new."""
    engine.log(f"since {since}")
    colour = await engine.ask_human("which colour?", options=["red", "blue"])
    return {"since": since, "name": name, "count": count + 1, "loud": loud, "tags": list(tags), "colour": colour}


@workflow
async def deploy(engine) -> str:
    once = "[ $(wc -l < deployed) -gt 1 ] || exec tail -f /dev/null > /dev/null 2>&1"
    await engine.bash(f"echo $$ > pid; echo x >> deployed; {once}")
    return (await engine.bash("wc -l < deployed", idempotent=True)).stdout.strip()


@workflow
async def spins(engine) -> None:
    await engine.checkpoint("begun", 1)
    child = subprocess.Popen(["sleep", "600"])  # it looks at no pipe
    with open("spinning", "w") as told:
        told.write(f"{os.getpid()} {child.pid}")
    while True:
        pass
'''


@pytest.fixture(scope="module")
def flows(built):
    aegis = built("flows")
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    (aegis.root / "flows").mkdir()
    (aegis.root / "flows" / "release.py").write_text(FLOW)
    with aegis.serving():
        yield aegis


def last(aegis) -> str:
    return aegis.json("workflow", "runs")[0]["workflow_id"]


def test_its_arguments_are_options_typed_by_its_signature(flows):
    helped = flows.says("workflow", "run", "release-notes", "--help")
    assert (
        "its own arguments" in helped
        and "--since SINCE" in helped
        and "(required)" in helped
        and "--tags TAGS" in helped
    )
    offered = flows.says("__complete", "workflow", "run", "release-notes", "--s")
    assert "--since" in offered
    words = ("--since", "v1", "--name", "Ada", "--count", "2", "--loud", "--tags", "a", "--tags", "b")
    started = flows.json("workflow", "run", "release-notes", *words)
    assert started["status"] == "running"
    run = started["workflow_id"]
    flows.eventually(lambda: flows.json("workflow", "show", run)["asks"], "the question")
    assert "which colour?" in flows.says("message", "inbox")
    assert "'green' is not one of the answers" in flows.refuses("workflow", "answer", run[-6:], "green", code=3)
    flows.run("workflow", "answer", run[-6:], "blue")
    row = flows.json("workflow", "wait", run)
    assert row["result"] == {
        "since": "v1", "name": "Ada", "count": 3, "loud": True, "tags": ["a", "b"], "colour": "blue",
    }  # fmt: skip
    assert "since: Field required" in flows.refuses("workflow", "run", "release-notes", code=3)
    assert "--sinse" in flows.refuses("workflow", "run", "release-notes", "--since", "x", "--sinse", "v1", code=2)
    assert "no workflow 'relaese'" in flows.refuses("workflow", "run", "relaese", "--since", "v1", code=4)


def test_it_is_followed_step_by_step_and_fails_with_its_exit_code(flows):
    done = flows.run(
        "workflow", "run", "tdd_cycle", "--feature", "a door", "--test-path", "tests/test_door.py", "--follow"
    )
    assert "done · 2 send" in done.stderr and "checkpoint write_test" in done.stderr
    assert (flows.root / "door.py").read_text() == "right"
    failed = flows.refuses("workflow", "run", "execute_plan", "--plan-path", "none.md", "--wait", code=1)
    assert "none.md" in failed and "workflow logs" in failed
    assert flows.json("sessions") == []


def test_what_reviewers_said_is_kept_though_one_of_them_fails(flows):
    flows_git(flows)
    row = flows.json("workflow", "run", "review_branch", "--base", "main", "--wait")
    assert row["result"]["reviews"].keys() == {"coder", "coder#2"}
    assert "the model is overloaded" in row["result"]["failed"]["critic"]
    report = (flows.root / row["result"]["report"]).read_text()
    assert "## critic\n\nNo review:" in report


def test_a_workflow_of_the_project_s_is_run_where_a_plugin_has_one_of_its_name_and_that_is_said(aegis):
    (aegis.root / ".aegis.yaml").write_text("workflows: {files: [own.py]}\n")
    code = '@workflow("tdd-cycle")\nasync def own(engine, what: str = "x"):\n    return f"our own {what}"\n'
    (aegis.root / "own.py").write_text(f"from aegis_workflow.api import workflow\n\n\n{code}")
    with aegis.serving():
        assert aegis.json("workflow", "run", "tdd_cycle", "--what", "y", "--wait")["result"] == "our own y"
        said = "own.py:5: its workflow 'tdd-cycle' is run, and that of the plugin 'workflows' has no effect."
        assert said in aegis.json("doctor")["advice"]


def flows_git(aegis) -> None:
    import subprocess  # noqa: PLC0415

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
        subprocess.run(["git", *who, *words], cwd=aegis.root, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "begin")
    git("checkout", "-qb", "feat/door")
    Path(aegis.root, "open.py").write_text("open = True\n")
    git("add", "open.py")
    git("commit", "-qm", "a door")


def test_code_that_never_waits_freezes_nobody_and_dies_with_its_kernel(aegis):
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    (aegis.root / "flows").mkdir()
    (aegis.root / "flows" / "release.py").write_text(FLOW)
    server, told = aegis.start("serve"), aegis.root / "spinning"
    aegis.wait_for_line(server, "aegis runs in")
    run = aegis.json("workflow", "run", "spins")["workflow_id"]
    aegis.eventually(lambda: told.exists() and told.read_text(), "the loop")
    assert aegis.json("workflow", "show", run)["status"] == "running", "every command is answered meanwhile"
    first, child = map(int, told.read_text().split())
    aegis.end(server, signal.SIGKILL)
    aegis.eventually(lambda: not runs(first) and not runs(child), "its end, though nobody was there to end it")
    told.unlink()
    with aegis.serving():
        assert "done · 1 checkpoint begun" in aegis.says("workflow", "logs", run)
        row = aegis.json("workflow", "cancel", run)
        assert row["status"] == "cancelled"
        left = told.read_text().split() if told.exists() else []
        aegis.eventually(lambda: not any(runs(int(pid)) for pid in left), "the end of the second")


def test_killed_in_the_middle_it_goes_on_and_what_is_unsure_is_decided(aegis):
    (aegis.root / ".aegis.yaml").write_text(CONFIG)
    (aegis.root / "flows").mkdir()
    (aegis.root / "flows" / "release.py").write_text(FLOW)
    server = aegis.start("serve")
    aegis.wait_for_line(server, "aegis runs in")
    sure = aegis.json("workflow", "run", "brainstorm_to_spec", "--topic", "A Door")["workflow_id"]
    unsure = aegis.json("workflow", "run", "deploy")["workflow_id"]
    for n in range(2):
        aegis.eventually(lambda: aegis.json("workflow", "show", sure)["asks"], "a question")
        aegis.run("workflow", "answer", sure, f"answer {n}")
    aegis.eventually((aegis.root / "deployed").exists, "the deployment")
    aegis.end(server, signal.SIGKILL)
    assert "no aegis runs" in aegis.refuses("workflow", "run", "brainstorm_to_spec", "--topic", "x", code=1)
    with aegis.serving():
        for n in range(2, 5):
            aegis.eventually(lambda: aegis.json("workflow", "show", sure)["asks"], "a question")
            aegis.run("workflow", "answer", sure, f"answer {n}")
        row = aegis.json("workflow", "wait", sure)
        assert (row["status"], (aegis.root / row["result"]).read_text()) == ("ok", "# A door\n")
        aegis.eventually(lambda: aegis.json("workflow", "show", unsure)["status"] == "needs attention", "its parking")
        assert "rerun|skip|fail" in aegis.says("message", "inbox")
        assert not runs(int((aegis.root / "pid").read_text())), "the command did not outlive the kernel's return"
        aegis.run("workflow", "decide", unsure, "rerun")
        assert aegis.json("workflow", "wait", unsure)["result"] == "2"
        (aegis.root / "flows" / "release.py").write_text(FLOW.replace('"release-notes"', '"notes"'))
        names = [row["name"] for row in aegis.json("workflow", "list")]
        assert "notes" in names and "release-notes" not in names, "a file that is changed is read anew"
        (aegis.root / "flows" / "broken.py").write_text("def (\n")
        assert "flows/broken.py" in aegis.refuses("workflow", "list", code=2)
        assert json.loads(aegis.says("workflow", "record", sure).splitlines()[0])["kind"] == "started"
