"""Claude Code's stream-json: lines to values, requests and answers to lines. No I/O, no meaning."""

from __future__ import annotations

import json
from typing import Any

import msgspec

UNREADABLE = "unreadable"  # the key of a request that could not be read whole, with the reason
_KEPT = 4_000  # characters of a line that is no JSON
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def decode(line: bytes) -> Any:
    """Return the JSON value of the line, or its text when it has none; never raises."""
    try:
        return _decode(line)
    except (ValueError, RecursionError):
        return _salvage(line)


def _salvage(line: bytes) -> Any:
    # JavaScript writes half a surrogate pair as an escape that stands for no character, and tools say bytes of other
    # encodings: the rest of the line is good. A request is not done in other words than its own: it is marked.
    try:
        whole = json.dumps(json.loads(line.decode(errors="replace")), ensure_ascii=False)
        message = _decode(whole.encode(errors="replace"))
    except (ValueError, RecursionError):
        words = line[: 4 * _KEPT].decode(errors="replace")[:_KEPT]
        return words if len(line) <= len(words.encode()) else f"{words}... [line of {len(line)} bytes]"
    if isinstance(message, dict) and isinstance(message.get("request"), dict):
        message["request"][UNREADABLE] = "the request has characters that are none: it is not UTF-8"
    return message


def prompt(text: str, uuid: str) -> bytes:
    """Return the line that says `text` to the agent; the CLI names `uuid` in all it tells of this message's fate."""
    content = [{"type": "text", "text": text}]
    return _line({"type": "user", "message": {"role": "user", "content": content}, "uuid": uuid})


def request(request_id: str, subtype: str, **fields: Any) -> bytes:
    """Return the line that asks the CLI itself for something: initialize, interrupt, set_model, get_settings, …"""
    return _line({"type": "control_request", "request_id": request_id, "request": {"subtype": subtype, **fields}})


def allow(request_id: Any, tool_input: Any) -> bytes:
    """Return the answer that lets the tool run; older releases insist on being given the input again."""
    return _answer(request_id, {"behavior": "allow", "updatedInput": tool_input})


def deny(request_id: Any, message: str) -> bytes:
    """Return the answer that keeps the tool from running; the model reads `message`."""
    return _answer(request_id, {"behavior": "deny", "message": message})


def unsupported(request_id: Any, message: str) -> bytes:
    """Return the answer to a request that this driver does not know."""
    response = {"subtype": "error", "request_id": request_id, "error": message}
    return _line({"type": "control_response", "response": response})


def _answer(request_id: Any, response: dict[str, Any]) -> bytes:
    body = {"subtype": "success", "request_id": request_id, "response": response}
    return _line({"type": "control_response", "response": body})


def _line(message: dict[str, Any]) -> bytes:
    try:
        return _encode(message) + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, from a caller: one such line would kill the CLI
        return json.dumps(message, ensure_ascii=False).encode(errors="replace") + b"\n"
