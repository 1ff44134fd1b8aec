from __future__ import annotations

import json

import pytest

from aegis_claude import wire


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'{"type":"user"}', {"type": "user"}),
        (b"42", 42),
        (b"not json", "not json"),
        (b'{"type":', '{"type":'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (rb'{"cut":"\ud83d"}', {"cut": "?"}),
        (rb'{"whole":"\ud83d\ude00"}', {"whole": "\U0001f600"}),
        (b"[" * 5000, "[" * 4000 + "... [line of 5000 bytes]"),
    ],
)
def test_every_line_has_a_value(line: bytes, value: object) -> None:
    assert wire.decode(line) == value


def test_a_prompt_is_one_line_whatever_is_in_it() -> None:
    line = wire.prompt('a\nb\u2028"c" \ud83d', "uuid-1")
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    message = json.loads(line)
    assert message["message"]["content"] == [{"type": "text", "text": 'a\nb\u2028"c" ?'}]
    assert (message["type"], message["uuid"]) == ("user", "uuid-1")


def test_requests_and_answers() -> None:
    assert json.loads(wire.request("r1", "set_model", model="opus")) == {
        "type": "control_request",
        "request_id": "r1",
        "request": {"subtype": "set_model", "model": "opus"},
    }
    allowed = json.loads(wire.allow("r2", {"command": "ls"}))["response"]
    assert allowed["response"] == {"behavior": "allow", "updatedInput": {"command": "ls"}}
    assert (allowed["subtype"], allowed["request_id"]) == ("success", "r2")
    assert json.loads(wire.deny("r3", "no"))["response"]["response"] == {"behavior": "deny", "message": "no"}
    assert json.loads(wire.unsupported("r4", "what?"))["response"]["subtype"] == "error"
