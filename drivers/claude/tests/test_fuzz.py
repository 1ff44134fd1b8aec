"""Whatever another process writes: no line makes the driver fail, and what comes of it can be stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis.events import TurnEnded, encode
from aegis_claude.translate import Translator
from aegis_claude.wire import decode

LINES = [
    line for path in (Path(__file__).parent / "recordings").glob("*.jsonl") for line in path.read_bytes().splitlines()
]
MESSAGES = [message for line in LINES if "sent" not in (message := json.loads(line))]
SLOW = [HealthCheck.too_slow]  # others may use the machine
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in the value."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a recorded line in which some values are of any type, or gone."""
    message = json.loads(json.dumps(draw(st.sampled_from(MESSAGES))))
    for _ in range(draw(st.integers(0, 3))):
        if found := places(message):
            container, key = draw(st.sampled_from(found))
            container[key] = draw(JSON)
    return json.dumps(message).encode()


ANY_LINE = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | damaged()


@pytest.mark.fuzz
@given(st.lists(ANY_LINE, max_size=12), st.data())
@settings(max_examples=3 * settings().max_examples, deadline=None, suppress_health_check=SLOW)
def test_no_line_makes_it_fail_and_a_turn_ends_at_most_once(lines: list[bytes], data: st.DataObject) -> None:
    translator, prompts, ends = Translator(), 0, 0
    for line in lines:
        if data.draw(st.booleans()) and not translator.busy:
            prompts += 1
            translator.begin(f"prompt-{prompts}")
        events = translator.events(decode(line))
        assert all(encode(event) for event in events)
        ends += sum(type(event) is TurnEnded for event in events)
        assert ends == prompts - translator.busy
