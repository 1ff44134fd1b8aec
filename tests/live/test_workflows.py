"""Workflows with real CLIs: a branch read by three of them, and a test made to pass by one that is wrong at first."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from model_server import Model, tool_use
from stage import scrubbed

import aegis_acp.plugin
import aegis_claude.plugin
import aegis_gemini.plugin
import aegis_inbox.plugin
import aegis_mcp.plugin
import aegis_opencode.plugin
import aegis_workflow.plugin
import aegis_workflows.plugin
from aegis import Caller, Kernel, open_kernel

ANNA = Caller("human", "anna")
PLUGINS = {
    "acp": aegis_acp.plugin,
    "claude": aegis_claude.plugin,
    "gemini": aegis_gemini.plugin,
    "inbox": aegis_inbox.plugin,
    "mcp": aegis_mcp.plugin,
    "opencode": aegis_opencode.plugin,
    "workflow": aegis_workflow.plugin,
    "workflows": aegis_workflows.plugin,
}


async def ran(kernel: Kernel, name: str, **kwargs: Any) -> Any:
    """Return the run of a workflow, ended."""
    row = await kernel.verbs.call(ANNA, "workflow run", {"name": name, "kwargs": kwargs, "wait": True})
    assert (row.status, row.error) == ("ok", "")
    return row.result


def folders(tmp_path: Path, body: dict[str, Any]) -> tuple[Path, Path]:
    """Return a home and a project with this configuration."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    (project / ".aegis.yaml").write_text(json.dumps(body))
    return home, project


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_three_different_clis_review_a_branch_side_by_side(
    tmp_path: Path, claude: str, gemini: str, opencode: str, model: Model
) -> None:
    agents = {
        "claude": {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5", "permission": "read"},
        "gemini": {"provider": "gemini", "command": [gemini], "model": "gemini-2.5-pro"},
        "opencode": {"provider": "opencode", "command": [opencode], "model": "probe/scripted"},
    }
    config = {"review_branch": {"reviewers": list(agents)}}
    home, project = folders(tmp_path, {"agents": agents, "workflows": {"config": config}})

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
        subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "begin")
    git("checkout", "-qb", "feat/door")
    (project / "door.py").write_text("password = 'plinth'\n")
    git("add", "door.py")
    git("commit", "-qm", "a door")
    model.follow({"when": r"password = 'plinth'", "say": "door.py:1 a password in the source"})
    environment = gemini_environment(home, model) | opencode_environment(home, model) | scrubbed(home, model)
    async with open_kernel(project, plugins=PLUGINS, environment=environment) as kernel:
        with trio.fail_after(150):
            result = await ran(kernel, "review_branch")
        assert result["reviews"] == dict.fromkeys(agents, "door.py:1 a password in the source")
        report = (project / result["report"]).read_text()
        assert [line for line in report.splitlines() if line.startswith("## ")] == [f"## {name}" for name in agents]


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the plane's libraries
async def test_claude_is_wrong_at_first_is_told_and_makes_the_test_pass(
    tmp_path: Path, claude: str, model: Model
) -> None:
    coder = {"provider": "claude-code", "command": [claude], "model": "claude-sonnet-4-5", "permission": "full"}
    command = "python3 -B {path} || {{ echo FAIL; exit 1; }}"  # a file mended within the second looks like its cache's
    config = {"tdd_cycle": {"implementer": "coder", "reviewer": "coder", "test_command": command}}
    home, project = folders(tmp_path, {"agents": {"coder": coder}, "workflows": {"config": config}})
    test = "from double import double\nassert double(4) == 8, 'FAIL'\n"

    def writes(name: str, content: str) -> dict[str, Any]:
        return tool_use("Write", file_path=str(project / name), content=content)

    model.follow(
        {"on": "tool_result", "say": "written"},
        {"when": "Write a test in", "say": [writes("test_double.py", test)]},
        {"when": "Now make", "say": [writes("double.py", "def double(n):\n    return n + 2\n")]},
        {"when": r"The tests still fail \(exit 1\)", "say": [tool_use("Bash", command=(
            f"printf 'def double(n):\\n    return n * 2\\n' > {project}/double.py"), description="mend")]},
        {"when": "Review the feature", "say": "nothing is wrong"},
    )  # fmt: skip
    async with open_kernel(project, plugins=PLUGINS, environment=scrubbed(home, model)) as kernel:
        with trio.fail_after(100):
            result = await ran(kernel, "tdd_cycle", feature="double a number", test_path="test_double.py")
    assert result["review"] == "nothing is wrong"
    assert "n * 2" in (project / "double.py").read_text()
