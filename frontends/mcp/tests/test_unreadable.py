"""Bodies that cannot be read: whoever sent one is told so at once, and the next is answered."""

from __future__ import annotations

import pytest
import trio

BODIES = [
    b"", b"\xff\xfe", b"hello", b"{", b"[]", b"null", b"42", b"[" * 100_000, b'{"jsonrpc": "2.0", "id": 5}',
    b'{"jsonrpc": "2.0", "id": {}, "method": "tools/list"}', b'{"jsonrpc": "2.0", "id": 5, "method": 5}',
    b'{"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "aegis_add", "arguments": {"x": "\xe9"}}}',
    b'{"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "x", "arguments": {"a": "\\ud800"}}}',
    b'[{"jsonrpc": "2.0", "id": 5, "method": "tools/list"}]',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[-40:]))
async def test_a_body_that_cannot_be_read_is_answered(scene, raw, body):
    await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()
    with trio.fail_after(20):
        headers = alice.headers() | {"content-type": "application/json"}
        answer = await alice.http.post(scene.url("alice"), content=body, headers=headers)
    assert answer.status_code == 202 if b'"id": {}' in body else answer.json()["error"]["code"] in (-32700, -32602)
    with trio.fail_after(20):
        assert "aegis_whoami" in (await alice.post("tools/list")).text
