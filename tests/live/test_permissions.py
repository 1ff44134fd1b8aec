"""What the real Claude Code may do under each permission, and who is asked."""

from __future__ import annotations

import json

import pytest
import trio
from model_server import tool_use
from stage import Stage, bash, ended, of, turn, until_end

from aegis.driver import Decision, PermissionRequest
from aegis.events import ToolCall, ToolResult
from aegis_claude.driver import ClaudeSession


async def allowed(request: PermissionRequest) -> Decision:
    return Decision("allowed")


@pytest.mark.ability("permission auto")
async def test_a_permission_is_asked_and_the_answer_holds(stage: Stage) -> None:
    async def judge(request: PermissionRequest) -> Decision:
        return Decision("allowed") if "yes" in request.title else Decision("denied", "not on a Friday")

    stage.model.follow({"when": "go", "say": [bash("touch yes"), bash("touch no")]}, {"say": "done"})
    async with stage.open(permission="auto", ask=judge) as session:
        events = await turn(session, "go")
    assert [(r.tool, r.kind, r.title) for r in stage.asked] == [
        ("Bash", "execute", "touch yes"),
        ("Bash", "execute", "touch no"),
    ]
    assert [r.id for r in stage.asked] == [c.id for c in of(ToolCall, events)]
    assert {r.text for r in of(ToolResult, events) if r.is_error} == {"not on a Friday"}
    assert ended(events).denials == ("Bash",)
    assert [f.name for f in stage.project.iterdir()] == ["yes"]


@pytest.mark.ability("open requests")
async def test_reading_goes_on_while_a_person_thinks_and_an_interrupt_takes_the_question_back(stage: Stage) -> None:
    asked, taken_back = trio.Event(), trio.Event()

    async def think(request: PermissionRequest) -> Decision:
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            taken_back.set()

    stage.model.follow({"when": "go", "say": [bash("touch x")]}, {"say": "done"})
    async with stage.open(permission="auto", ask=think) as session:
        await session.send("go")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_interrupt_after, session, asked)
            assert ended(await until_end(session)).outcome == "cancelled"
        assert taken_back.is_set()
        assert ended(await turn(session, "hello")).outcome == "completed"
    assert list(stage.project.iterdir()) == []


async def _interrupt_after(session: ClaudeSession, event: trio.Event) -> None:
    await event.wait()
    await session.interrupt()


@pytest.mark.ability("permission read")
async def test_read_may_look_and_nothing_else_whatever_the_settings_allow(stage: Stage) -> None:
    """A trusted project allows mkdir beforehand; plan mode alone would run it."""
    (stage.project / ".claude").mkdir()
    (stage.project / ".claude" / "settings.json").write_text('{"permissions":{"allow":["Bash(mkdir *)","Edit"]}}')
    trust = {"projects": {str(stage.project): {"hasTrustDialogAccepted": True}}}
    (stage.home / ".claude.json").write_text(json.dumps(trust))
    acts = [bash("mkdir made"), bash("touch touched"), tool_use("ExitPlanMode", plan="do"), bash("ls -a")]
    acts.append(tool_use("Write", file_path=str(stage.project / "written"), content="x"))
    stage.model.follow({"when": "go", "say": acts}, {"say": "done"})
    async with stage.open(permission="read", ask=allowed) as session:
        events = await turn(session, "go")
    results = {r.id: r for r in of(ToolResult, events)}
    outcomes = {call.title or call.name: results[call.id].is_error for call in of(ToolCall, events)}
    assert outcomes.pop("ls -a") is False
    assert all(outcomes.values()) and len(outcomes) == 4
    assert all("permission is read" in r.text for r in results.values() if r.is_error)
    assert [f.name for f in stage.project.iterdir()] == [".claude"]


@pytest.mark.ability("permission write")
async def test_write_edits_inside_the_folder_unasked_and_asks_for_the_rest(stage: Stage) -> None:
    inside, outside = stage.project / "a.txt", stage.folder / "b.txt"
    acts = [tool_use("Write", file_path=str(path), content="new") for path in (inside, outside)]
    stage.model.follow({"when": "go", "say": [*acts, bash("python3 -c 1")]}, {"say": "done"})
    async with stage.open(permission="write") as session:
        events = await turn(session, "go")
    assert inside.read_text() == "new" and not outside.exists()
    assert [(r.tool, r.paths) for r in stage.asked] == [("Write", (str(outside),)), ("Bash", ())]
    assert [r.diff for r in of(ToolResult, events) if r.diff] == [(str(inside), "", "new")]


@pytest.mark.ability("permission full")
async def test_full_asks_nobody(stage: Stage) -> None:
    stage.model.follow({"when": "go", "say": [bash("touch x"), bash("python3 -c 1")]}, {"say": "done"})
    async with stage.open(permission="full") as session:
        events = await turn(session, "go")
    assert [r.is_error for r in of(ToolResult, events)] == [False, False]
    assert stage.asked == [] and (stage.project / "x").exists()
