"""What the real Claude Code may never change unasked: what says how much leave it has, and what others would run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_server import Block, tool_use
from stage import Stage, bash, ended, of, turn

from aegis.driver import Decision, PermissionRequest
from aegis.events import Event, ToolCall, ToolResult

KEPT = "agents: {}\n"


async def refuse(request: PermissionRequest) -> Decision:
    return Decision("denied", "not on a Friday")


@pytest.fixture
def root(stage: Stage) -> Path:
    """A project of aegis: its configuration, its state, and links to both."""
    project = stage.project
    for folder in (".aegis/state", ".git/hooks", "sub"):
        (project / folder).mkdir(parents=True)
    (project / ".aegis.yaml").write_text(KEPT)
    (project / ".aegis" / "n.ipynb").write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4}))
    (project / "link").symlink_to(project / ".aegis")
    return project


def allow_beforehand(stage: Stage, *rules: str) -> None:
    """Let the person's own settings, in a project they trust, allow these."""
    (stage.home / ".claude").mkdir()
    (stage.home / ".claude" / "settings.json").write_text(json.dumps({"permissions": {"allow": rules}}))
    trust = {"projects": {str(stage.project): {"hasTrustDialogAccepted": True}}}
    (stage.home / ".claude.json").write_text(json.dumps(trust))


async def acted(stage: Stage, permission: str, acts: list[Block]) -> dict[str, bool]:
    """Do one act after the other and return for each, in order, whether it came to pass; people refuse everything."""
    rules = [{"when": "^go$", "say": [acts[0]], "times": 1}]
    rules += [{"on": "tool_result", "say": [act], "times": 1} for act in acts[1:]]
    stage.model.follow(*rules, {"on": "tool_result", "say": "done"})
    async with stage.open(permission=permission, ask=refuse) as session:
        events: list[Event] = await turn(session, "go")
    assert ended(events).outcome == "completed"
    results = {result.id: result for result in of(ToolResult, events)}
    return {f"{n} {c.name} {c.title}": not results[c.id].is_error for n, c in enumerate(of(ToolCall, events))}


@pytest.mark.ability("what governs it")
@pytest.mark.parametrize("beforehand", [(), ("Edit", "Write", "NotebookEdit")], ids=["plain", "allowed"])
@pytest.mark.parametrize("permission", ["write", "auto"])
async def test_it_never_edits_what_governs_it_unasked(
    stage: Stage, root: Path, permission: str, beforehand: tuple[str, ...]
) -> None:
    if beforehand:
        allow_beforehand(stage, *beforehand)
    own, notebook = str(root / ".aegis.yaml"), str(root / ".aegis" / "n.ipynb")
    wider = {"old_string": "agents", "new_string": "agenda"}
    places = [own, f"{root}/sub/../.aegis.yaml", f"{root}/link/../.aegis.yaml", ".aegis.yaml"]
    acts = [tool_use("Read", file_path=own), tool_use("Read", file_path=notebook)]
    acts += [tool_use("Edit", file_path=place, **wider) for place in places]
    acts += [
        tool_use("Write", file_path=f"{root}/{place}", content="x") for place in (".aegis/agents/me.yaml", "link/x")
    ]
    acts += [tool_use("NotebookEdit", notebook_path=notebook, new_source="x", edit_mode="insert", cell_type="code")]
    acts += [bash("cd .aegis"), tool_use("Write", file_path="here.yaml", content="x")]
    done = list((await acted(stage, permission, acts)).items())
    assert [name for name, passed in done[2:] if passed] == ["9 Bash cd .aegis"]
    assert len(stage.asked) == len(acts) - 3, "each was asked about"
    assert (root / ".aegis.yaml").read_text() == KEPT
    assert {path.name for path in (root / ".aegis").iterdir()} == {"state", "n.ipynb"}


@pytest.mark.ability("permission write")
async def test_write_asks_before_every_command_that_changes_a_file(stage: Stage, root: Path) -> None:
    """The CLI's own mode for edits would run these: mkdir, touch, cp, mv, rm, sed."""
    (root / "a.txt").write_text("a")
    commands = ["touch .aegis.yaml", "sed -i s/a/b/ .aegis.yaml", "cp a.txt .aegis.yaml", "mv a.txt b.txt", "rm a.txt"]
    commands += ["mkdir new", "echo x > .aegis.yaml", "ln -f .aegis.yaml c.txt", "tee .aegis.yaml", "python3 -c 1"]
    done = await acted(stage, "write", [*map(bash, commands), bash("ls -a")])
    assert [name for name, passed in done.items() if passed] == ["10 Bash ls -a"]
    assert [(asked.kind, asked.title) for asked in stage.asked] == [("execute", command) for command in commands]
    assert (root / ".aegis.yaml").read_text() == KEPT and (root / "a.txt").exists() and not (root / "new").exists()


@pytest.mark.ability("what governs it")
async def test_write_asks_before_it_edits_what_others_run(stage: Stage, root: Path) -> None:
    places = [".claude/settings.json", ".claude/settings.local.json", ".mcp.json", ".git/hooks/pre-commit", ".bashrc"]
    places += ["CLAUDE.md", "sub/AGENTS.md", "Makefile", ".github/workflows/ci.yaml", "package.json"]
    plain = ["a.txt", "sub/b.txt", "docs/ci.yaml"]
    acts = [tool_use("Write", file_path=str(root / place), content="x") for place in [*places, *plain]]
    done = await acted(stage, "write", acts)
    assert list(done.values()) == [False] * len(places) + [True] * len(plain)
    assert [(asked.kind, asked.paths) for asked in stage.asked] == [("other", (str(root / place),)) for place in places]


@pytest.mark.ability("what governs it")
@pytest.mark.parametrize("permission", ["read", "write", "full"])
async def test_it_never_reads_what_aegis_keeps(stage: Stage, root: Path, permission: str) -> None:
    for folder in (root / ".aegis" / "state", root):
        (folder / "kept.txt").write_text("s3cret")
    places = [f"{root}/.aegis/state", ".aegis/state", "link/state", f"{root}/sub/../.aegis/state", str(root)]
    acts = [tool_use("Read", file_path=f"{place}/kept.txt") for place in places]
    done = await acted(stage, permission, acts)
    assert list(done.values()) == [False, False, False, False, True]
