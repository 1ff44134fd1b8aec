"""Whatever an agent posts to the plane: it is answered, by no fault of ours, and what comes after it is served."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TOOLS = st.sampled_from(["aegis_add", "aegis_whoami", "aegis_deny", "aegis_nothing"]) | JSON
PARAMS = st.fixed_dictionaries(
    {}, optional={"name": TOOLS, "arguments": st.fixed_dictionaries({"a": JSON}, optional={"b": JSON}) | JSON,
                  "protocolVersion": st.just("2025-06-18") | JSON, "capabilities": JSON, "clientInfo": JSON,
                  "_meta": st.fixed_dictionaries({"progressToken": JSON}) | JSON, "cursor": JSON, "uri": JSON},
)  # fmt: skip
METHODS = ["initialize", "ping", "tools/list", "tools/call", "resources/read", "prompts/list",
           "notifications/cancelled", "notifications/initialized", "logging/setLevel",
           "completion/complete"]  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.integers(0, 9), "method": st.sampled_from(METHODS), "params": PARAMS}
)
STRANGE = st.fixed_dictionaries({"jsonrpc": JSON, "method": JSON}, optional={"id": JSON, "params": PARAMS | JSON})
VALUES = REQUESTS | REQUESTS | STRANGE | JSON | st.lists(REQUESTS, max_size=2)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@pytest.mark.fuzz
async def test_no_body_ends_it_and_none_is_a_fault(scene, raw) -> None:
    await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()

    async def posted(body: bytes, **more: str) -> Any:
        headers = alice.headers(**more) | {"content-type": "application/json"}
        with trio.fail_after(30):
            return await alice.http.post(scene.url("alice"), content=body, headers=headers)

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # others may use the machine
    @given(BODIES)
    def tried(body: bytes) -> None:
        answer = trio.from_thread.run(posted, body)
        assert answer.status_code < 500, answer.text
        by_fastmcp = trio.from_thread.run(partial(posted, body, accept="*/*"))  # which has no short way
        assert (by_fastmcp.status_code, by_fastmcp.content) == (answer.status_code, answer.content)
        last = trio.from_thread.run(posted, b'{"jsonrpc": "2.0", "id": 77, "method": "tools/list", "params": {}}')
        assert "aegis_whoami" in last.text

    await trio.to_thread.run_sync(tried)
    assert not scene.kernel.bus.faults
