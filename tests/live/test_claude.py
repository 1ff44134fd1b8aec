"""The real Claude Code under our driver, with a model that follows a script."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import psutil
import pytest
import trio
from model_server import text, thinking, tool_use
from stage import Stage, bash, ended, heard, of, turn, until_end

from aegis.clock import new_id
from aegis.driver import McpServer
from aegis.errors import LaunchError
from aegis.events import Notice, Plan, PlanEntry, SessionStarted, Text, Thought, ToolCall, ToolResult
from aegis.testing.plane import serving
from aegis.testing.processes import commands
from aegis.testing.seats import child_of, gone
from aegis_claude.driver import PROVEN

CHATTY = {"when": "chat", "say": [thinking("hm"), text("one, "), text("two")]}


@pytest.mark.ability("answers", "thoughts", "usage", "cost")
async def test_two_turns_say_everything_and_cost_what_each_cost(stage: Stage) -> None:
    stage.model.follow(CHATTY, {"say": "short", "usage": {"input_tokens": 7, "cache_read_input_tokens": 300}})
    async with stage.open() as session:
        first, second = await turn(session, "chat"), await turn(session, "again")
    [started] = of(SessionStarted, first)
    assert started.session_id and started.model == "claude-sonnet-4-5" and started.version == PROVEN
    assert [(type(e), e.text) for e in first if type(e) in (Text, Thought)] == [
        (Thought, "hm"),
        (Text, "one, "),
        (Text, "two"),
    ]
    end = ended(first)
    assert (end.outcome, end.reply, end.reason) == ("completed", "one, two", "")
    assert (end.usage.input, end.usage.output) == (100, 10)
    assert end.cost_usd == pytest.approx(0.00045)  # 100 in at $3, 10 out at $15 a million
    assert end.usage.context_size == 200_000 and end.seconds > 0
    end = ended(second)
    assert end.reply == "short"
    assert (end.usage.input, end.usage.cache_read, end.usage.output) == (7, 300, 10)
    assert end.cost_usd == pytest.approx(0.000261)
    assert end.models["claude-sonnet-4-5"]["cost_usd"] == pytest.approx(0.000261)


@pytest.mark.ability("tool calls")
async def test_several_tools_in_one_message_each_have_their_result(stage: Stage) -> None:
    stage.model.follow({"when": "go", "say": [bash("echo 1"), bash("false"), bash("echo 3")]}, {"say": "done"})
    async with stage.open() as session:
        events = await turn(session, "go")
    calls, results = of(ToolCall, events), {r.id: r for r in of(ToolResult, events)}
    assert [(c.kind, c.title) for c in calls] == [("execute", "echo 1"), ("execute", "false"), ("execute", "echo 3")]
    assert [results[c.id].is_error for c in calls] == [False, True, False]
    assert results[calls[0].id].text == "1"
    assert ended(events).reply == "done"


@pytest.mark.ability("plane")
async def test_the_plane_is_called_with_the_agents_secret_which_no_one_else_can_read(stage: Stage) -> None:
    stage.model.follow({"when": "go", "say": [tool_use("mcp__aegis__whoami")]}, {"say": "done"})
    with serving() as server:
        async with stage.open(servers=[server.server("alice", "s3cret")], permission="auto") as session:
            events = await turn(session, "go")
            assert stage.process
            cli = psutil.Process(stage.process.pid)
            lines = commands([cli, *cli.children(recursive=True)])
            assert lines and "s3cret" not in "".join(lines)
    assert server.calls == [("alice", "whoami", {})]
    assert of(ToolResult, events)[0].text == "you are alice"
    assert stage.asked == []
    files = [file for file in stage.seat.rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
    declared = {tool["name"] for tool in stage.model.requests()[0]["tools"]}
    assert "mcp__aegis__whoami" in declared and "AskUserQuestion" not in declared


@pytest.mark.ability("lost plane")
async def test_a_plane_that_does_not_answer_is_reported(stage: Stage) -> None:
    async with stage.open(servers=[McpServer("aegis", "http://127.0.0.1:9/mcp")]) as session:
        events = [*await turn(session, "go"), *await turn(session, "go")]
    assert [n.text for n in of(Notice, events)] == ["the MCP server 'aegis' could not be reached"]


@pytest.mark.ability("primer")
async def test_the_primer_reaches_the_model(stage: Stage) -> None:
    async with stage.open(primer=["You are lucid-knuth.", "Others are here."]) as session:
        await turn(session, "go")
    system = "".join(part["text"] for part in stage.model.requests()[0]["system"])
    assert "You are lucid-knuth.\n\nOthers are here." in system


@pytest.mark.ability("interrupt")
@pytest.mark.parametrize("wait", ["at once", "once it runs"])
async def test_an_interrupt_ends_the_turn_and_keeps_the_session(stage: Stage, wait: str) -> None:
    stage.model.follow({"when": "hang", "say": "starting", "hang": True}, {"say": "still here"})
    async with stage.open() as session:
        await session.send("hang")
        if wait == "once it runs":
            await heard(session, SessionStarted)
        await session.interrupt()
        end = ended(await until_end(session))
        assert (end.outcome, end.reason.split()[0]) == ("cancelled", "interrupted")
        again = await turn(session, "hello")
        assert (ended(again).outcome, ended(again).reply) == ("completed", "still here")


@pytest.mark.ability("interrupt")
async def test_an_interrupt_stops_the_tool(stage: Stage) -> None:
    stage.model.follow({"when": "go", "say": [bash("tail -f /dev/null")]})
    async with stage.open(args=["--allowedTools", "Bash"]) as session:
        await session.send("go")
        await heard(session, ToolCall)
        assert stage.process
        tail = await child_of(stage.process.pid, "tail")
        await session.interrupt()
        assert ended(await until_end(session)).outcome == "cancelled"
        await gone(tail)


@pytest.mark.ability("interrupt")
async def test_an_interrupt_when_idle_is_quiet(stage: Stage) -> None:
    async with stage.open() as session:
        await session.interrupt()
        first = await turn(session, "hello")
        await session.interrupt()
        assert [ended(first).outcome, ended(await turn(session, "again")).outcome] == ["completed", "completed"]


@pytest.mark.ability("resume")
async def test_a_session_is_resumed_in_a_new_process(stage: Stage) -> None:
    async with stage.open() as session:
        [started] = of(SessionStarted, await turn(session, "remember the word plinth"))
    async with stage.open(resume=started.session_id) as session:
        [again] = of(SessionStarted, await turn(session, "which word?"))
    assert again.session_id == started.session_id
    assert "plinth" in str(stage.model.requests()[-1]["messages"])


@pytest.mark.ability("lost session")
async def test_a_session_that_does_not_exist_cannot_be_resumed(stage: Stage) -> None:
    with pytest.raises(LaunchError, match="No conversation found"):
        async with stage.open(resume="99999999-9999-4999-8999-999999999999"):
            raise AssertionError("it opened")


@pytest.mark.ability("model errors")
@pytest.mark.parametrize(
    ("status", "reason", "retries"),
    [(400, "400 as the script wants", 0), (401, "401 as the script wants", 2), (529, "as the script wants", 2)],
)
async def test_a_model_error_fails_the_turn_and_not_the_session(
    stage: Stage, status: int, reason: str, retries: int
) -> None:
    stage.model.follow({"when": "break", "error": status}, {"say": "better"})
    async with stage.open() as session:
        events = await turn(session, "break")
        assert ended(events).outcome == "failed" and reason in ended(events).reason
        assert [str(status) in n.text and "retry" in n.text for n in of(Notice, events)] == [True] * retries
        assert ended(events).reply == ""
        assert ended(await turn(session, "and now")).reply == "better"


@pytest.mark.ability("retries")
async def test_a_passing_error_is_retried_and_said(stage: Stage) -> None:
    stage.model.follow({"error": 529, "times": 1}, {"say": "there"})
    async with stage.open() as session:
        events = await turn(session, "go")
    assert "529" in of(Notice, events)[0].text
    assert (ended(events).outcome, ended(events).reply) == ("completed", "there")


@pytest.mark.ability("cut answers")
async def test_a_refusal_and_a_cut_answer_are_outcomes_of_their_own(stage: Stage) -> None:
    stage.model.follow(
        {"when": "refuse|safety classifier", "say": "no", "stop": "refusal"},
        {"when": "long|token limit hit|Output token limit", "say": "part", "stop": "max_tokens"},
    )
    async with stage.open() as session:
        assert ended(await turn(session, "refuse")).outcome == "refused"
        assert ended(await turn(session, "long")).outcome == "truncated"


@pytest.mark.ability("sub-agents")
async def test_a_sub_agent_speaks_under_its_parent_and_the_turn_waits_for_it(stage: Stage) -> None:
    delegate = tool_use("Agent", description="look", prompt="inner job", subagent_type="general-purpose")
    stage.model.follow(
        {"when": "inner job", "say": [bash("echo inner")]},
        {"on": "tool_result", "when": "^inner$", "say": "inner reply"},
        {"when": "go", "say": [text("delegating"), delegate]},
        {"on": "tool_result", "when": "inner reply", "say": "all done"},
    )
    async with stage.open() as session:
        events = await turn(session, "go")
    outer, inner = of(ToolCall, events)
    assert (outer.name, outer.parent, inner.title, inner.parent) == ("Agent", "", "echo inner", outer.id)
    assert [(r.id, r.parent) for r in of(ToolResult, events)] == [(inner.id, outer.id), (outer.id, "")]
    assert ended(events).reply == "all done"
    assert ended(events).usage.input == 400  # four requests of 100, two of them the sub-agent's


@pytest.mark.ability("plan")
async def test_tasks_become_a_plan(stage: Stage) -> None:
    made = [tool_use("TaskCreate", subject=name, description=name) for name in ("first", "second", "third")]
    done = [tool_use("TaskUpdate", taskId=task, status=now) for task, now in (("1", "completed"), ("3", "deleted"))]
    stage.model.follow({"when": "plan", "say": made}, {"when": "work", "say": done}, {"say": "ok"})
    async with stage.open() as session:
        events = [*await turn(session, "plan"), *await turn(session, "work")]
    assert of(Plan, events)[-1].entries == (PlanEntry("first", "completed"), PlanEntry("second"))
    assert of(ToolCall, events) == []


@pytest.mark.ability("crash")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_cli_says_so_and_leaves_nothing(stage: Stage, how: signal.Signals) -> None:
    stage.model.follow({"when": "go", "say": [bash("tail -f /dev/null")]})
    mark = {"AEGIS_AGENT": new_id()}
    async with stage.open(env=mark, args=["--allowedTools", "Bash"]) as session:
        await session.send("go")
        await heard(session, ToolCall)
        assert stage.process
        tail = await child_of(stage.process.pid, "tail")
        os.kill(stage.process.pid, how)
        with pytest.raises(LaunchError, match=rf"claude.*{how.name}|claude.*code {128 + how}"):
            await until_end(session)
    await gone(tail)


@pytest.mark.ability("clean exit")
async def test_leaving_mid_turn_leaves_nothing(stage: Stage) -> None:
    stage.model.follow({"when": "go", "say": "starting", "hang": True})
    async with stage.open() as session:
        await session.send("go")
        await heard(session, Text)
        assert stage.process
        pid, before = stage.process.pid, trio.current_time()
    assert not psutil.pid_exists(pid)
    assert trio.current_time() - before < 2


async def test_a_session_around_us_does_not_leak_in(stage: Stage) -> None:
    around = {"CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "cli", "CLAUDE_CODE_SSE_PORT": "1"}
    stage.model.follow({"when": "go", "say": [bash("env")]}, {"say": "ok"})
    async with stage.open(permission="full", inherited=around) as session:
        events = await turn(session, "go")
    assert "CLAUDE_CODE_SSE_PORT" not in of(ToolResult, events)[0].text


@pytest.mark.ability("clean exit")
async def test_nothing_is_left_in_the_temp_folder(stage: Stage, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    async with stage.open(inherited={"TMPDIR": str(aside)}) as session:
        await turn(session, "go")
    assert list(aside.iterdir()) == []


@pytest.mark.ability("effort")
async def test_effort_is_passed_on(stage: Stage) -> None:
    async with stage.open(effort="max") as session:
        await turn(session, "go")
    assert stage.model.requests()[0]["thinking"]["budget_tokens"] == 31_999


@pytest.mark.ability("failed start")
async def test_a_wrong_argument_is_said_in_the_clis_words(stage: Stage) -> None:
    with pytest.raises(LaunchError, match="unknown option '--nonsense'"):
        async with stage.open(args=["--nonsense"]):
            raise AssertionError("it opened")
