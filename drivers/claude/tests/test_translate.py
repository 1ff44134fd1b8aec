from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis.events import (
    Event,
    Notice,
    Plan,
    PlanEntry,
    SessionStarted,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    TurnEnded,
    Unknown,
)
from aegis_claude.translate import Translator
from aegis_claude.wire import decode

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.jsonl"))


def replay(name: str) -> list[Event]:
    """Return the events of a recording of the real CLI, the translator told what the driver did."""
    translator, events = Translator(), []
    for line in (Path(__file__).parent / "recordings" / f"{name}.jsonl").read_bytes().splitlines():
        message = decode(line)
        sent = message.get("sent", {})
        if sent.get("type") == "user":
            translator.begin(sent["uuid"])
        elif sent.get("request", {}).get("subtype") == "interrupt":
            translator.interrupt()
        elif not sent:
            events += translator.events(message)
    return events


def of(kind: type, events: list[Event]) -> list[Any]:
    return [event for event in events if type(event) is kind]


def said(*messages: dict[str, Any], prompt: str = "p") -> list[Event]:
    """Return the events of messages in a turn that was begun."""
    translator = Translator()
    translator.begin(prompt)
    return [event for message in messages for event in translator.events(message)]


def result(**fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, **fields}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_nothing_the_real_cli_says_is_unknown_and_every_prompt_ends_once(path: Path) -> None:
    events = replay(path.stem)
    prompts = sum('"sent":{"type":"user"' in line for line in path.read_text().splitlines())
    assert of(Unknown, events) == []
    assert len(of(TurnEnded, events)) == prompts


def test_each_turn_has_its_own_reply_tokens_and_cost_though_the_cli_adds_up() -> None:
    first, second = of(TurnEnded, replay("turns"))
    assert (first.outcome, first.reply, first.usage.input, first.usage.output) == ("completed", "one, two", 100, 10)
    assert first.cost_usd == pytest.approx(0.00045) and first.usage.context_size == 200_000
    assert (second.reply, second.usage.input, second.usage.cache_read) == ("short", 7, 300)
    assert second.cost_usd == pytest.approx(0.000261)
    assert second.models["claude-sonnet-4-5"] == {
        "input": 7, "cache_read": 300, "cache_write": 0, "output": 10, "cost_usd": pytest.approx(0.000261),
    }  # fmt: skip


def test_thoughts_and_words_keep_their_message() -> None:
    events = [event for event in replay("turns") if type(event) in (Thought, Text)]
    assert events[:3] == [Thought("hm", "msg_000001"), Text("one, ", "msg_000001"), Text("two", "msg_000001")]


def test_the_session_is_named_at_every_turn() -> None:
    started = of(SessionStarted, replay("turns"))
    assert len(started) == 2 and started[0] == started[1]
    assert (started[0].model, started[0].version) == ("claude-sonnet-4-5", "2.1.329")
    assert started[0].permission_mode == "default" and "dataviz" in started[0].commands


def test_tools_have_kind_title_place_result_and_diff() -> None:
    events = replay("tools")
    calls, results = of(ToolCall, events), {r.id: r for r in of(ToolResult, events)}
    assert [(c.kind, c.title) for c in calls] == [
        ("execute", "echo 1"),
        ("execute", "false"),
        ("edit", "/home/ada/project/a.txt"),
        ("edit", "/home/ada/project/a.txt"),
    ]
    assert calls[2].locations == ("/home/ada/project/a.txt",)
    assert [results[c.id].is_error for c in calls] == [False, True, False, False]
    assert results[calls[0].id].text == "1" and results[calls[0].id].diff is None
    assert results[calls[2].id].diff == ("/home/ada/project/a.txt", "", "old words")
    assert results[calls[3].id].diff == ("/home/ada/project/a.txt", "old", "new")
    assert of(TurnEnded, events)[0].reply == "done"


def test_a_tool_of_an_mcp_server_is_called_and_answers() -> None:
    events = replay("plane_call")
    assert of(ToolCall, events)[0].name == "mcp__aegis__whoami"
    assert of(ToolResult, events)[0].text == "you are alice"


def test_a_server_that_is_not_there_is_said_once() -> None:
    assert of(Notice, replay("plane_lost")) == [
        Notice("the MCP server 'aegis' could not be reached", "warning", "claude-code")
    ]


def test_denials_are_counted_on_the_turn() -> None:
    assert of(TurnEnded, replay("permission"))[0].denials == ("Bash",)


def test_a_sub_agent_speaks_under_its_parent() -> None:
    events = replay("sub_agent")
    outer, inner = of(ToolCall, events)
    assert (outer.kind, outer.parent, inner.title, inner.parent) == ("think", "", "echo inner", outer.id)
    assert [(r.id, r.parent) for r in of(ToolResult, events)] == [(inner.id, outer.id), (outer.id, "")]
    end = of(TurnEnded, events)[0]
    assert end.reply == "all done" and end.usage.input == 400  # its two requests are paid for, too


def test_the_context_is_the_agents_own_and_not_its_sub_agents() -> None:
    def spoke(parent: str | None, **usage: int) -> dict[str, Any]:
        return {"type": "assistant", "message": {"model": "m", "usage": usage}, "parent_tool_use_id": parent}

    totals = {"m": {"inputTokens": 3, "contextWindow": 200}, "small": {"inputTokens": 1, "contextWindow": 9}}
    end = said(
        spoke(None, input_tokens=5, cache_read_input_tokens=70),
        spoke("t1", input_tokens=4000),
        result(modelUsage=totals),
    )[-1]
    assert (end.usage.context_used, end.usage.context_size, end.usage.input) == (75, 200, 4)


def test_a_turn_of_the_clis_own_ends_nobodys_turn_and_is_paid_for_by_the_next() -> None:
    events = replay("background")
    first, second = of(TurnEnded, events)
    assert (first.reply, second.reply) == ("all done", "ok")
    assert [t.parent != "" for t in of(Text, events) if t.text.startswith("inner")] == [True, True]
    assert [n.text for n in of(Notice, events)] == ["background task completed: inner reply"]
    assert first.cost_usd + second.cost_usd == pytest.approx(0.0027)


def test_tasks_are_folded_into_a_whole_plan() -> None:
    plans = of(Plan, replay("tasks"))
    assert [len(plan.entries) for plan in plans[:3]] == [1, 2, 3]
    assert plans[-1].entries == (PlanEntry("first", "completed"), PlanEntry("second"))
    assert of(ToolCall, replay("tasks")) == []


def test_todos_are_a_plan_once_they_are_written() -> None:
    todos = [{"content": "look", "status": "completed"}, {"content": "leap", "status": "in_progress"}]
    call = {"type": "tool_use", "id": "t1", "name": "TodoWrite", "input": {"todos": todos}}
    answer = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
    assistant = {"type": "assistant", "message": {"id": "m", "content": [call]}}
    assert said(assistant) == []
    plan = Plan((PlanEntry("look", "completed"), PlanEntry("leap", "in_progress")))
    assert said(assistant, {"type": "user", "message": {"content": [answer]}}) == [plan]
    failed = {"type": "user", "message": {"content": [answer | {"is_error": True}]}}
    assert said(assistant, failed) == []


@pytest.mark.parametrize("name", ["interrupt", "interrupt_queued"])
def test_an_interrupted_turn_is_cancelled_and_the_next_is_not(name: str) -> None:
    cut, after = of(TurnEnded, replay(name))
    assert (cut.outcome, cut.reason.split()[0], after.outcome) == ("cancelled", "interrupted", "completed")


def test_a_model_error_is_a_failed_turn_though_the_cli_calls_it_success() -> None:
    failed, after = of(TurnEnded, replay("model_error"))
    assert (failed.outcome, failed.reason, failed.reply) == ("failed", "API Error: 400 as the script wants", "")
    assert (after.outcome, after.reply) == ("completed", "better")


def test_a_retry_is_told() -> None:
    [notice] = of(Notice, replay("retried"))
    assert notice.level == "warning" and notice.text.startswith("the model answered 529 overloaded; retry 1 of 2 in ")
    assert of(TurnEnded, replay("retried"))[0].outcome == "completed"


def test_refusals_and_cut_answers_are_their_own_outcomes() -> None:
    refused, truncated = of(TurnEnded, replay("refused"))[0], of(TurnEnded, replay("truncated"))[0]
    assert refused.outcome == "refused" and "can't help" in refused.reason
    assert (truncated.outcome, truncated.reason) == ("truncated", "max_output_tokens")


def test_a_command_of_the_cli_itself_answers() -> None:
    end = of(TurnEnded, replay("local_command"))[0]
    assert end.outcome == "completed" and end.reply.startswith("Estimated cost")


# ------------------------------------------------------------------------------------- rows without a recording


def test_all_results_of_a_line_are_told() -> None:
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": f"r{n}"} for n in range(3)]
    events = said({"type": "user", "message": {"content": results}})
    assert events == [ToolResult(f"t{n}", f"r{n}") for n in range(3)]


def test_a_result_for_an_earlier_prompt_does_not_end_this_turn() -> None:
    translator = Translator()
    translator.begin("mine")
    assert translator.events(result(user_message_uuids=["another"])) == []
    translator.events({"type": "command_lifecycle", "command_uuid": "mine", "state": "queued"})
    assert translator.events(result()) == []  # it waits: whatever ended was not this
    translator.events({"type": "command_lifecycle", "command_uuid": "mine", "state": "started"})
    assert [type(e) for e in translator.events(result())] == [TurnEnded]


def test_an_older_cli_without_a_life_cycle_ends_the_turn_with_its_result() -> None:
    assert [type(e) for e in said(result())] == [TurnEnded]


def test_a_result_that_nobody_waits_for_is_no_end() -> None:
    assert Translator().events(result()) == []


def test_a_message_that_is_done_without_a_result_ends_its_turn() -> None:
    events = said({"type": "command_lifecycle", "command_uuid": "p", "state": "completed"}, result())
    assert events == [TurnEnded("completed")]


@pytest.mark.parametrize(
    ("fields", "outcome", "reason"),
    [
        ({"subtype": "error_max_turns", "is_error": True}, "truncated", "error_max_turns"),
        ({"stop_reason": "max_tokens"}, "truncated", "max_tokens"),
        ({"subtype": "error_during_execution", "errors": ["it broke"]}, "failed", "it broke"),
        ({"is_error": True}, "failed", "success"),
        ({"terminal_reason": "aborted_tools", "is_error": True}, "cancelled", "interrupted"),
        ({"stop_reason": "refusal"}, "refused", "the model refused"),
        ({"usage": "much", "modelUsage": [1], "total_cost_usd": "free", "permission_denials": 7}, "completed", ""),
    ],
)
def test_how_a_turn_ends(fields: dict[str, Any], outcome: str, reason: str) -> None:
    [end] = said(result(**fields))
    assert (end.outcome, end.reason) == (outcome, reason)


def counted(cost: float, output: int = 1, model: str = "m") -> dict[str, Any]:
    return {model: {"inputTokens": 0, "outputTokens": output, "costUSD": cost}}


def ends(translator: Translator, *results: dict[str, Any]) -> list[TurnEnded]:
    ended = []
    for fields in results:
        translator.begin("p")
        ended += of(TurnEnded, translator.events(result(**fields)))
    return ended


def test_a_resumed_conversation_is_billed_for_its_own_turns() -> None:
    """Its totals go on where they were, after a kill where they were once; what came since does not."""
    turns = [
        {"modelUsage": counted(1.26, 4), "total_cost_usd": 1.26, "model_usage_since_last_result": counted(0.315)},
        {"modelUsage": counted(0.5, 9), "total_cost_usd": 0.5, "model_usage_since_last_result": counted(0.25, 2)},
        {"modelUsage": counted(0.5, 9), "total_cost_usd": 0.5, "model_usage_since_last_result": {}},
    ]
    told = [(end.cost_usd, end.usage.output) for end in ends(Translator(resumed=True), *turns) if end.usage]
    assert told == [(0.315, 1), (0.25, 2), (0.0, 0)]


def test_totals_alone_tell_nothing_of_the_first_turn_after_a_resume() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3}
    first, second, less = ends(
        Translator(resumed=True),
        {"modelUsage": counted(1.26, 40), "usage": usage},
        {"modelUsage": counted(1.5, 45), "usage": usage},
        {"modelUsage": counted(0.1, 1), "usage": usage},
    )
    assert first.usage and (first.cost_usd, first.usage.output, "output" in first.usage.unknown) == (None, 3, True)
    assert second.usage and (second.cost_usd, second.usage.output, second.usage.unknown) == (0.24, 5, ())
    assert less.cost_usd is None, "it began to count anew, nobody knows where"


def test_a_new_conversation_is_billed_by_the_difference_of_its_totals() -> None:
    first, second = ends(Translator(), {"modelUsage": counted(0.5)}, {"modelUsage": counted(0.7, 3)})
    assert (first.cost_usd, second.cost_usd, second.usage and second.usage.output) == (0.5, 0.2, 2)


def test_what_is_not_said_is_not_known() -> None:
    [end] = ends(Translator(), {"total_cost_usd": 0.5})
    assert end.cost_usd is None and end.usage and "output" in end.usage.unknown


def test_what_nobody_began_falls_to_the_next_turn() -> None:
    translator = Translator()
    translator.events(result(model_usage_since_last_result=counted(0.25, 5)))
    translator.begin("p")
    translator.events(
        result(user_message_uuids=["another"], model_usage_since_last_result=counted(0.5, 1, "another model"))
    )
    [end] = ends(translator, {"model_usage_since_last_result": counted(1, 3)})
    assert (end.cost_usd, end.usage and end.usage.output, len(end.models)) == (1.75, 9, 2)


def test_an_answer_that_was_cut_is_billed_and_nobody_knows_how_much() -> None:
    cut = {"subtype": "error_during_execution", "terminal_reason": "aborted_streaming"}
    between = cut | {"terminal_reason": "aborted_tools"}
    since = {"model_usage_since_last_result": counted(0.5)}
    first, second = ends(Translator(), cut | since, between | since)
    assert (first.cost_usd, first.usage and first.usage.unknown) == (None, ("output",))
    assert first.models["m"]["cost_usd"] == 0.5, "so much is known"
    assert (second.cost_usd, second.usage and second.usage.unknown) == (0.5, ())


def test_the_price_of_a_model_that_the_cli_does_not_know_is_no_cost() -> None:
    said = {"m": counted(0.5)["m"] | {"costBasis": "unknown"}}
    first, second = ends(
        Translator(), {"model_usage_since_last_result": said}, {"model_usage_since_last_result": counted(0.5)}
    )
    assert first.cost_usd is None and first.usage and (first.usage.output, first.usage.unknown) == (1, ())
    assert second.cost_usd == 0.5


def test_what_is_kept_for_an_hour_is_told_apart() -> None:
    said = {"m": {"cacheCreationInputTokens": 500, "cacheCreationEphemeral1hInputTokens": 300}}
    [end] = ends(Translator(), {"model_usage_since_last_result": said})
    assert end.usage and (end.usage.cache_write, end.usage.cache_write_1h) == (500, 300)
    assert end.models["m"]["cache_write_1h"] == 300


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"subtype": "compact_boundary", "compact_metadata": {"trigger": "manual", "pre_tokens": 12345}}, "12,345"),
        ({"subtype": "permission_denied", "tool_name": "Bash", "message": "not here"}, "Bash was denied: not here"),
        ({"subtype": "informational", "content": "something", "level": "warning"}, "something"),
        ({"subtype": "status", "compact_error": "too short"}, "too short"),
    ],
)
def test_what_the_cli_says_of_itself_is_a_notice(message: dict[str, Any], told: str) -> None:
    [notice] = said({"type": "system", **message})
    assert type(notice) is Notice and told in notice.text


def test_a_usage_limit_is_said_when_it_is_near() -> None:
    info = {"status": "allowed_warning", "rateLimitType": "five_hour"}
    [notice] = said({"type": "rate_limit_event", "rate_limit_info": info})
    assert notice.text == "usage limit five hour: allowed warning"
    assert said({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}) == []


def test_what_changes_about_a_session_alone_is_no_event() -> None:
    for subtype in ("session_title_changed", "session_metadata", "per_turn_effort_changed", "vcs_state_changed"):
        assert said({"type": "system", "subtype": subtype, "title": "Tests", "given_by": "user"}) == []


@pytest.mark.parametrize("value", [42, None, [], "words", {}, {"type": 7}, {"type": "news"}, {"type": "system"}])
def test_what_has_no_name_is_kept(value: Any) -> None:
    assert said(value) == [Unknown(value)]


def test_a_block_that_has_no_name_is_kept_beside_its_neighbours() -> None:
    blocks = [{"type": "hologram"}, {"type": "text", "text": "hi"}]
    events = said({"type": "assistant", "message": {"id": "m", "content": blocks}})
    assert events == [Unknown({"type": "hologram"}), Text("hi", "m")]


def test_lines_of_many_megabytes_pass() -> None:
    words = "x" * 64 * 2**20
    message = {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": words}]}}
    [event] = said(decode(json.dumps(message).encode()))
    assert len(event.text) == len(words)
