"""What agents were seen to say (Gemini CLI 0.61, OpenCode 1.18, Qwen Code 0.15, codex-acp 0.16), as events."""

from __future__ import annotations

from typing import Any

import pytest

from aegis.events import (
    Event,
    Plan,
    PlanEntry,
    SessionStarted,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    TurnEnded,
    Unknown,
    Usage,
)
from aegis_acp import v1
from aegis_acp.translate import Translator, reason_of


@pytest.fixture
def translator() -> Translator:
    """A translator in a turn of an open session."""
    translator = Translator()
    translator.opened(SessionStarted("s1"), 0.0)
    translator.begin()
    return translator


def told(translator: Translator, kind: str, /, **fields: Any) -> list[Event]:
    return translator.update({"sessionUpdate": kind} | fields)


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"content": {"type": "text", "text": words}} | more


def answer(words: str) -> list[dict[str, Any]]:
    return [{"type": "content", "content": {"type": "text", "text": words}}]


def asking(number: str, **fields: Any) -> v1.ToolCallUpdate:
    return v1.ToolCallUpdate.model_validate({"toolCallId": number} | fields)


DIFF = {"type": "diff", "path": "/p/note.txt", "oldText": None, "newText": "new"}


def test_words_and_thoughts(translator: Translator) -> None:
    assert told(translator, "agent_message_chunk", **text("hi", messageId="m")) == [Text("hi", "m")]
    assert told(translator, "agent_thought_chunk", **text("****\nhm")) == [Thought("hm")]
    picture = {"content": {"type": "image", "data": "", "mimeType": "image/png"}}
    assert told(translator, "agent_message_chunk", **picture) == [Text("[image]")]


def test_an_empty_chunk_says_nothing(translator: Translator) -> None:
    assert told(translator, "agent_message_chunk", **text("")) == []
    assert not translator.spoke


@pytest.mark.parametrize(
    ("number", "title", "name"),
    [
        ("call_83912751", "Edit /p/note.txt", "edit"),  # the model's own id
        ("toolu_83912751_0", "Edit /p/note.txt", "edit"),
        ("replace_1763694302001_0", "Edit /p/note.txt", "replace"),  # Gemini's
        ("replace-1763694302001-1", "Edit /p/note.txt", "replace"),
        ("replace__replace_1763694302001_0", "Edit /p/note.txt", "replace"),
        ("read_file__call_83912751", "/p/note.txt", "read_file"),  # and the model's own id behind it
        ("read_file__toolu_01Abc", "/p/note.txt", "read_file"),
        ("mcp_aegis_whoami__x", "whoami (aegis MCP Server)", "mcp_aegis_whoami"),
        ("call_1__call_2", "Edit /p/note.txt", "edit"),
        ("call_83912751", "handoff (aegis MCP Server): {}", "mcp__aegis__handoff"),
        ("call_83912751", "see handoff (aegis MCP Server)", "edit"),
    ],
)
def test_how_a_tool_is_named_where_nobody_names_it(translator: Translator, number: str, title: str, name: str) -> None:
    call, _ = translator.asked(asking(number, title=title, kind="edit"))
    assert (call.name or call.kind) == name


@pytest.mark.parametrize(
    "more",
    [
        {"title": "note.txt", "locations": [{"path": "/p/note.txt"}]},
        {"title": "note.txt", "rawInput": {"file_path": "src/note.txt"}},
        {"title": "make", "rawInput": {"command": "make"}},
    ],
)
def test_what_a_tool_is_used_on_is_not_its_name(translator: Translator, more: dict[str, Any]) -> None:
    """Else a rule that is made of one request would never fit the next."""
    call, _ = translator.asked(asking("c1", kind="edit", **more))
    assert (call.name, call.title) == ("", more["title"])


def test_opencode_announces_before_it_knows_the_input(translator: Translator) -> None:
    bash = {"toolCallId": "c1", "kind": "execute"}
    assert told(translator, "tool_call", **bash, title="bash", status="pending", rawInput={"cwd": "/p"}) == []
    given = {"rawInput": {"command": "echo hi", "cwd": "/p"}, "title": "echo hi"}
    [call] = told(translator, "tool_call_update", **bash, **given, status="in_progress")
    assert call == ToolCall("c1", "bash", "echo hi", "execute", {"command": "echo hi", "cwd": "/p"})
    streamed = {"content": answer("h"), "status": "in_progress"}
    assert told(translator, "tool_call_update", **bash, **streamed) == []
    done = {"content": answer("hi\n"), "rawOutput": {"output": "hi\n"}, "status": "completed"}
    assert told(translator, "tool_call_update", toolCallId="c1", **done) == [ToolResult("c1", "hi\n")]
    assert told(translator, "tool_call_update", toolCallId="c1", **done) == [], "once is enough"


def test_gemini_announces_nothing_that_it_asks_leave_for(translator: Translator) -> None:
    number = "write_file__write_file_1795233101270_0"
    call, events = translator.asked(asking(number, title="Writing to note.txt", kind="edit", content=[DIFF]))
    assert events == [ToolCall(number, "write_file", "Writing to note.txt", "edit")] and call.paths == ("/p/note.txt",)
    done = {"toolCallId": number, "status": "completed", "content": [DIFF]}
    assert told(translator, "tool_call_update", **done) == [ToolResult(number, diff=("/p/note.txt", "", "new"))]


def test_the_words_of_a_question_are_not_the_tools_answer(translator: Translator) -> None:
    """Gemini explains what it asks for, and says nothing of what a command printed."""
    why = answer("This command may delete files.")
    for number, end, told_of_it in (("c1", {"content": []}, ""), ("c2", {}, ""), ("c3", {"content": answer("2")}, "2")):
        translator.asked(asking(number, kind="execute", title="rm x", content=why))
        done = {"toolCallId": number, "status": "completed"} | end
        assert told(translator, "tool_call_update", **done) == [ToolResult(number, told_of_it)]
    told(translator, "tool_call", toolCallId="c4", kind="execute", title="rm x", status="in_progress", content=why)
    assert told(translator, "tool_call_update", toolCallId="c4", status="completed", content=[]) == [ToolResult("c4")]
    call, _ = translator.asked(asking("c5", kind="execute", title="rm x", content=why))
    translator.refuse(call, "denied: no")
    assert told(translator, "agent_message_chunk", **text("then not"))[0] == ToolResult("c5", "denied: no", True)


def test_gemini_says_no_more_of_what_was_refused(translator: Translator) -> None:
    call, _ = translator.asked(asking("write_file-1763694302001", kind="edit"))
    translator.refuse(call, "denied: no")
    assert told(translator, "agent_message_chunk", **text("then not")) == [
        ToolResult("write_file-1763694302001", "denied: no", is_error=True),
        Text("then not"),
    ]
    [end] = translator.ended({"stopReason": "end_turn"})
    assert isinstance(end, TurnEnded) and end.denials == ("write_file",)


def test_an_edit_is_shown_as_the_agent_showed_it_best(translator: Translator) -> None:
    """OpenCode shows the whole file as it asks for permission, and later only the words that were changed."""
    whole = {"type": "diff", "path": "/p/a.txt", "oldText": "one\ntwo\n", "newText": "one\nTWO\n"}
    part = whole | {"oldText": "two", "newText": "TWO"}
    translator.asked(asking("c1", kind="edit", title="edit", content=[whole]))
    [result] = told(translator, "tool_call_update", toolCallId="c1", status="completed", content=[part])
    assert isinstance(result, ToolResult) and result.diff == ("/p/a.txt", "one\ntwo\n", "one\nTWO\n")
    other = whole | {"newText": "one\nthree\n"}
    translator.asked(asking("c2", kind="edit", title="edit", content=[whole]))
    [result] = told(translator, "tool_call_update", toolCallId="c2", status="completed", content=[other])
    assert isinstance(result, ToolResult) and result.diff == ("/p/a.txt", "one\ntwo\n", "one\nthree\n"), "it did other"


def test_what_is_written_is_shown_to_whom_is_asked(translator: Translator) -> None:
    call, _ = translator.asked(asking("c1", kind="edit", title="Writing", content=[DIFF]))
    assert call.shown == {"path": "/p/note.txt", "old_text": "", "new_text": "new"}
    call, _ = translator.asked(asking("c2", kind="edit", title="Writing", content=[DIFF], rawInput={"a": 1}))
    assert call.shown == {"a": 1}


def test_opencode_says_that_what_was_refused_failed(translator: Translator) -> None:
    told(translator, "tool_call", toolCallId="c1", title="write", kind="edit", status="pending", rawInput={})
    call, [_] = translator.asked(asking("c1", title="/p/note.txt", rawInput={"filepath": "/p/note.txt", "diff": ""}))
    translator.refuse(call, "denied: no")
    failed = {"toolCallId": "c1", "status": "failed", "content": answer("The user rejected permission.")}
    [result] = told(translator, "tool_call_update", **failed)
    assert result == ToolResult("c1", "denied: no\nThe user rejected permission.", is_error=True)
    assert len(translator.ended({"stopReason": "end_turn"})) == 1


def test_a_request_does_not_take_the_place_of_the_input(translator: Translator) -> None:
    given = {"filePath": "/p/note.txt", "content": "new"}
    told(translator, "tool_call", toolCallId="c1", title="write", status="in_progress", rawInput=given)
    call, events = translator.asked(asking("c1", rawInput={"filepath": "/p/note.txt", "diff": "---"}))
    assert events == [] and call.input == given


def test_a_tool_whose_end_is_never_told_ends_with_the_turn(translator: Translator) -> None:
    told(translator, "tool_call", toolCallId="c1", title="bash", status="pending", rawInput={})
    told(translator, "tool_call", toolCallId="c2", title="bash", status="in_progress")
    events = translator.cancelled()
    assert [type(e) for e in events] == [ToolCall, ToolResult, ToolResult, TurnEnded]
    assert [e.is_error for e in events if isinstance(e, ToolResult)] == [True, True]
    late = {"toolCallId": "c1", "status": "failed"}
    assert told(translator, "tool_call_update", **late) == [], "out of order"


def test_a_result_before_its_announcement(translator: Translator) -> None:
    events = told(translator, "tool_call_update", toolCallId="c1", status="failed", rawOutput={"error": "no"})
    assert events == [ToolCall("c1", "other"), ToolResult("c1", "no", is_error=True)]
    assert told(translator, "tool_call", toolCallId="c1", title="late") == []


def test_plans_commands_and_modes(translator: Translator) -> None:
    entries = [{"content": "a", "priority": "high", "status": "in_progress"}]
    plan = Plan((PlanEntry("a", "in_progress", "high"),))
    assert told(translator, "plan", entries=entries) == [plan]
    whole = {"plan": {"type": "items", "planId": "p", "entries": entries}}
    assert told(translator, "plan_update", **whole) == [plan]
    commands = [{"name": "compact", "description": ""}]
    [started] = told(translator, "available_commands_update", availableCommands=commands)
    assert started == SessionStarted("s1", commands=("compact",))
    assert told(translator, "available_commands_update", availableCommands=commands) == [], "no news"
    [started] = told(translator, "current_mode_update", currentModeId="plan")
    assert started == SessionStarted("s1", permission_mode="plan", commands=("compact",))


def test_opencode_says_what_the_session_cost(translator: Translator) -> None:
    tokens = {"inputTokens": 5, "outputTokens": 2, "thoughtTokens": 1, "cachedReadTokens": 3, "totalTokens": 11}
    cost = {"amount": 0.25, "currency": "USD"}
    assert told(translator, "usage_update", used=8, size=100, cost=cost) == [Usage(context_used=8, context_size=100)]
    [end] = translator.ended({"stopReason": "end_turn", "usage": tokens})
    assert isinstance(end, TurnEnded)
    assert (end.usage, end.cost_usd) == (Usage(5, 3, 0, 3, 8, 100), 0.25)
    translator.begin()
    told(translator, "usage_update", used=9, size=100, cost=cost | {"amount": 0.75})
    [end] = translator.ended({"stopReason": "end_turn"})
    assert isinstance(end, TurnEnded) and end.cost_usd == 0.5


def test_a_cost_said_after_the_end_falls_to_the_next_turn(translator: Translator) -> None:
    [first] = translator.ended({"stopReason": "end_turn"})
    told(translator, "usage_update", used=9, size=100, cost={"amount": 0.75, "currency": "USD"})
    [second] = translator.ended({"stopReason": "end_turn"})
    assert [end.cost_usd for end in (first, second) if isinstance(end, TurnEnded)] == [None, 0.75]


@pytest.mark.parametrize(("paid", "costs"), [(0.5, 0.25), (None, None)])
def test_a_resumed_session_was_paid_for_before(paid: float | None, costs: float | None) -> None:
    translator = Translator()
    translator.opened(SessionStarted("s1"), paid)
    told(translator, "usage_update", used=9, size=100, cost={"amount": 0.75, "currency": "USD"})
    [end] = translator.ended({"stopReason": "end_turn"})
    assert isinstance(end, TurnEnded) and end.cost_usd == costs


def test_other_money_is_no_dollars(translator: Translator) -> None:
    told(translator, "usage_update", used=9, size=100, cost={"amount": 0.75, "currency": "EUR"})
    [end] = translator.ended({"stopReason": "end_turn"})
    assert isinstance(end, TurnEnded) and end.cost_usd is None


def test_gemini_says_tokens_beside_the_protocol(translator: Translator) -> None:
    tokens = {"input_tokens": 5, "output_tokens": 2}
    quota = {"token_count": tokens, "model_usage": [{"model": "gemini-2.5-pro", "token_count": tokens}]}
    [end] = translator.ended({"stopReason": "end_turn", "_meta": {"quota": quota}})
    assert isinstance(end, TurnEnded)
    assert (end.usage, end.cost_usd, end.models) == (
        Usage(5, output=2, unknown=("input", "cache_read", "output")),  # what was cached is added, what was thought not
        None,
        {"gemini-2.5-pro": {"input": 5, "output": 2}},
    )


def test_qwen_says_tokens_of_each_model_call(translator: Translator) -> None:
    def tokens(read: int, wrote: int) -> dict[str, Any]:
        return {"_meta": {"usage": {"inputTokens": read, "outputTokens": wrote, "cachedReadTokens": 1}}}

    for read, wrote in ((5, 2), (7, 3)):
        told(translator, "agent_message_chunk", **text("", **tokens(read, wrote)))
    [end] = translator.ended({"stopReason": "end_turn"})
    assert isinstance(end, TurnEnded) and end.usage == Usage(input=12, cache_read=2, output=5)
    translator.begin()
    [end] = translator.ended({"stopReason": "end_turn"})
    assert isinstance(end, TurnEnded) and end.usage is None


def test_a_context_that_shrinks_by_half_was_compacted(translator: Translator) -> None:
    for used, compacted in ((100, False), (80, False), (0, False), (30, True)):
        told(translator, "usage_update", used=used, size=200)
        assert translator.meter.compacted is compacted


@pytest.mark.parametrize(
    "raw", [None, 5, [], {}, {"sessionUpdate": []}, {"sessionUpdate": "news"}, {"sessionUpdate": "plan"}]
)
def test_what_has_no_name_is_kept(translator: Translator, raw: Any) -> None:
    assert translator.update(raw) == [Unknown(raw)]


def test_why_is_said_in_the_providers_words() -> None:
    assert reason_of('{"error": {"code": 400, "message": "overloaded"}}', None) == "overloaded"
    assert reason_of("Internal error", {"details": "No sessions"}) == "Internal error: No sessions"
    assert reason_of("", None) == "the agent gave no reason"
