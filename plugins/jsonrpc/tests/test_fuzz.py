"""Whatever the other side writes: the connection goes on, each request is answered once, and nothing else is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_jsonrpc.connection import Connection

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
IDS = st.integers(-3, 9) | st.text(max_size=3) | JSON
METHODS = st.sampled_from(["echo", "fail", "$/cancelRequest"]) | JSON
MESSAGES = st.fixed_dictionaries(
    {}, optional={"jsonrpc": st.just("2.0") | JSON, "id": IDS, "method": METHODS, "params": JSON, "result": JSON,
                  "error": JSON},
)  # fmt: skip
ASKED = st.builds(lambda n, params: {"id": n, "method": "echo", "params": params}, st.integers(10, 99), JSON)


@st.composite
def cut(draw: st.DrawFn) -> bytes:
    """Draw a message of which some bytes are others."""
    line = bytearray(msgspec.json.encode(draw(MESSAGES | ASKED)))
    for _ in range(draw(st.integers(0, 2))):
        line[draw(st.integers(0, len(line) - 1))] = draw(st.integers(0, 255))
    return bytes(line)


LINES = st.binary(max_size=40) | (MESSAGES | JSON).map(msgspec.json.encode) | cut()


async def conversation(sent: bytes) -> list[Any]:
    """Return what a peer that echoes answers to this, and to one request more after it."""
    incoming, taken = [[*sent.split(b"\n"), b'{"id": "last", "method": "echo", "params": 7}']], trio.Event()
    answers: list[Any] = []

    async def read() -> list[bytes]:
        if incoming:
            return incoming.pop()
        await taken.wait()
        return []

    async def write(data: bytes) -> None:
        answers.extend(map(msgspec.json.decode, data.splitlines()))
        if any(answer.get("id") == "last" for answer in answers):
            await trio.testing.wait_all_tasks_blocked()
            taken.set()

    async def handle(method: str, params: Any) -> Any:
        if method == "fail":
            raise ValueError(params)
        return params

    with trio.fail_after(30):
        await Connection(read, write, handle, None).run()
    return answers


@pytest.mark.fuzz
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # others may use the machine
@given(st.lists(LINES, max_size=8), st.lists(ASKED, max_size=3, unique_by=lambda asked: asked["id"]), st.data())
def test_no_line_ends_it_and_each_request_has_one_answer(lines: list[bytes], asked: list[Any], data: Any) -> None:
    whole = data.draw(st.permutations([*lines, *map(msgspec.json.encode, asked)]))
    answers = trio.run(conversation, b"\n".join(whole))
    found = Counter(msgspec.json.encode(answer["id"]) for answer in answers)
    assert found[b'"last"'] == 1
    assert all("result" in answer or {"code", "message"} <= set(answer["error"]) for answer in answers)
    for one in asked:
        assert any(answer["id"] == one["id"] and answer.get("result") == one["params"] for answer in answers)
    assert len(answers) <= 1 + sum(line.count(b"\n") + 1 for line in whole)
