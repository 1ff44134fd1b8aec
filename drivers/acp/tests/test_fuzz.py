"""Whatever an agent says: nothing makes the translation fail, what comes of it can be stored, tools end once."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis.events import ToolCall, ToolResult, TurnEnded, encode
from aegis_acp import v1
from aegis_acp.translate import Translator

SLOW = [HealthCheck.too_slow]  # others may use the machine
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DIFF = {"type": "diff", "path": "/p", "oldText": None, "newText": "new"}
WORDS = {"type": "content", "content": {"type": "text", "text": "hi"}}
SEEN: list[dict[str, Any]] = [
    {"sessionUpdate": "agent_message_chunk", "messageId": "m", "content": {"type": "text", "text": "hi"}},
    {"sessionUpdate": "agent_thought_chunk", "content": {"type": "text", "text": "hm"}},
    {"sessionUpdate": "user_message_chunk", "content": {"type": "text", "text": "go"}},
    {"sessionUpdate": "tool_call", "toolCallId": "c1", "title": "bash", "status": "pending", "rawInput": {"cwd": "/"}},
    {"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "in_progress", "rawInput": {"command": "x"}},
    {"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed", "content": [WORDS, DIFF]},
    {"sessionUpdate": "tool_call_update", "toolCallId": "c2", "status": "failed", "rawOutput": {"error": "no"}},
    {"sessionUpdate": "plan", "entries": [{"content": "a", "priority": "low", "status": "pending"}]},
    {"sessionUpdate": "usage_update", "used": 5, "size": 9, "cost": {"amount": 0.5, "currency": "USD"}},
    {"sessionUpdate": "available_commands_update", "availableCommands": [{"name": "a", "description": "b"}]},
    {"sessionUpdate": "current_mode_update", "currentModeId": "plan"},
    {"sessionUpdate": "session_info_update", "title": "t"},
]
ANSWER = {"stopReason": "end_turn", "usage": {"inputTokens": 1}, "_meta": {"quota": {"token_count": {}}}}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in the value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@st.composite
def damaged(draw: st.DrawFn, seen: list[dict[str, Any]]) -> Any:
    """Draw what was seen, some values of any type."""
    message = copy.deepcopy(draw(st.sampled_from(seen)))
    for _ in range(draw(st.integers(0, 2))):
        container, key = draw(st.sampled_from(places(message)))
        container[key] = draw(JSON)
    return message


@pytest.mark.fuzz
@given(st.lists(damaged(SEEN) | JSON, max_size=12), st.data())
@settings(max_examples=2 * settings().max_examples, deadline=None, suppress_health_check=SLOW)
def test_nothing_makes_it_fail_and_every_tool_ends_once(updates: list[Any], data: st.DataObject) -> None:
    translator = Translator()
    translator.begin()
    events = []
    for update in updates:
        events += translator.update(update)
        if data.draw(st.booleans()):
            asked = v1.ToolCallUpdate(tool_call_id=data.draw(st.sampled_from(["c1", "c2", "c3"])))
            call, said = translator.asked(asked)
            events += said
            if data.draw(st.booleans()) and not call.over:
                translator.refuse(call, "denied")
    events += translator.ended(data.draw(damaged([ANSWER]) | JSON))
    assert all(encode(event) for event in events)
    assert [type(event) for event in events].count(TurnEnded) == 1
    calls, results = (Counter(e.id for e in events if type(e) is kind) for kind in (ToolCall, ToolResult))
    assert calls == results and max(calls.values(), default=1) == 1
