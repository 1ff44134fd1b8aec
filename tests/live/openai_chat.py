"""OpenAI's chat completions, streamed: how OpenCode and Qwen Code ask the scripted model, and how that answers."""

from __future__ import annotations

import json
from typing import Any

PATH = "/v1/chat/completions"
_STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}


def fits(path: str) -> bool:
    """Return whether this is a request of this kind."""
    return path.split("?")[0] == PATH


def understood(body: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the request as the Messages API would have it; one without tools is not of the conversation."""
    said = [_message(m) for m in body["messages"] if m["role"] != "system" and not _of_the_cli(m)]
    system = [message["content"] for message in body["messages"] if message["role"] == "system"]
    words = "\n".join(text if isinstance(text, str) else "\n".join(p["text"] for p in text) for text in system)
    return {
        "model": body["model"],
        "system": words,
        "messages": said,
        "tools": [tool["function"] for tool in body.get("tools", [])],
        "aside": not body.get("tools"),
    }


def _of_the_cli(message: dict[str, Any]) -> bool:
    """Whether the CLI itself put this in, as the user's."""
    parts = message.get("content") or ""
    first = parts if isinstance(parts, str) else str(parts[0].get("text"))
    return message["role"] == "user" and first.startswith("This is the Qwen Code.")


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if message["role"] == "tool":
        return {"role": "user", "content": [{"type": "tool_result", "content": content}]}
    return {"role": message["role"], "content": content}


def pieces(blocks: list[dict[str, Any]], usage: dict[str, int], stop: str, model: str, number: str) -> list[bytes]:
    """Return the answer in pieces: one for each block, and the end."""
    called = [block for block in blocks if block["type"] == "tool_use"]
    deltas = [_delta(block, called.index(block) if block in called else 0, number) for block in blocks]
    read, thought = usage.get("cache_read_input_tokens", 0), usage.get("thinking_tokens", 0)
    tokens: dict[str, Any] = {
        "prompt_tokens": usage["input_tokens"] + read,
        "completion_tokens": usage["output_tokens"],
    }
    tokens["total_tokens"] = sum(tokens.values())
    tokens["prompt_tokens_details"] = {"cached_tokens": read}
    tokens["completion_tokens_details"] = {"reasoning_tokens": thought}
    told = [_chunk(number, model, [{"index": 0, "delta": {"role": "assistant"} | d}]) for d in deltas]
    end = _chunk(number, model, [{"index": 0, "delta": {}, "finish_reason": _STOPS.get(stop, stop)}])
    return [*told, end + _chunk(number, model, [], usage=tokens) + b"data: [DONE]\n\n"]


def _delta(block: dict[str, Any], index: int, number: str) -> dict[str, Any]:
    if block["type"] == "thinking":
        return {"reasoning_content": block["thinking"]}
    if block["type"] == "text":
        return {"content": block["text"]}
    function = {"name": block["name"], "arguments": json.dumps(block["input"])}
    return {"tool_calls": [{"index": index, "id": f"call_{number}_{index}", "type": "function", "function": function}]}


def _chunk(number: str, model: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = {"id": number, "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return f"data: {json.dumps(chunk | more)}\n\n".encode()


def error(status: int, message: str) -> dict[str, Any]:
    """Return what is said instead of an answer."""
    return {"error": {"message": message, "type": "scripted_error", "code": status}}
