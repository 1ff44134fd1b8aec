"""What a caller hands to a shipped workflow is never an option of a command, nor a command."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import entry_points

import pytest

from aegis.testing.echo import EchoPlugin
from aegis_workflow.testing import begun, ended


@pytest.fixture
def plugins(project):
    found = {name: next(iter(entry_points(group="aegis.plugins", name=name))).load() for name in NAMES}
    echo = {"provider": "echo"}
    config = {
        "tdd_cycle": {"implementer": "coder", "reviewer": "coder", "test_command": "./said {path}", "max_retries": 0},
        "review_branch": {"reviewers": ["coder"]}, "brainstorm_to_spec": {"writer": "coder"},
    }  # fmt: skip
    (project / ".aegis.yaml").write_text(json.dumps({"agents": {"coder": echo}, "workflows": {"config": config}}))
    said = project / "said"
    said.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> words\n')
    said.chmod(0o755)
    return {"echo": EchoPlugin(), **found}


NAMES = ("inbox", "workflow", "workflows")


@pytest.fixture
def repository(project):
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
        subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "begin")
    return project


BASES = ["--output=made", "-O made", "--no-index", "--ext-diff", "$(touch made)", "main; touch made", "'", "", "a\nb"]


@pytest.mark.parametrize("base", BASES)
async def test_no_text_of_the_caller_is_an_option(kernel, repository, base):
    row = await ended(kernel, await begun(kernel, "review_branch", base=base))
    assert row.status == "error" and "there is no branch or commit" in row.error
    assert not list(repository.glob("*made*"))


@pytest.mark.parametrize("path", ["-pevil", "--rootdir=/", "$(touch made)", "a b; touch made", "-"])
async def test_a_path_is_a_path(kernel, project, path):
    await ended(kernel, await begun(kernel, "tdd_cycle", feature="a door", test_path=path))
    words = (project / "words").read_text().splitlines()
    assert words[0] == (f"./{path}" if path.startswith("-") else path)
    assert not list(project.glob("made*"))


@pytest.mark.parametrize("path", ["-n", "--help", "$(touch made)", "; touch made"])
async def test_a_plan_is_read_by_its_name(kernel, project, path):
    row = await ended(kernel, await begun(kernel, "execute_plan", plan_path=path))
    assert row.status == "error" and "the plan could not be read" in row.error
    (project / path).write_text("no slices")
    row = await ended(kernel, await begun(kernel, "execute_plan", plan_path=path))
    assert "has no `## Slice N" in row.error
    assert not list(project.glob("made*"))
