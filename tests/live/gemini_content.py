"""Gemini's generateContent, streamed: how Gemini CLI asks the scripted model, and how that answers."""

from __future__ import annotations

import json
import re
from typing import Any

_PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^:]+):(?P<what>\w+)")
_STOPS = {"end_turn": "STOP", "tool_use": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY"}
_CONTEXT = re.compile(r"<(session_context|hook_context)>.*?</\1>", re.DOTALL)  # what the CLI itself puts in


def fits(path: str) -> bool:
    """Return whether this is a request of this kind."""
    return _PATH.match(path) is not None


def understood(body: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the request as the Messages API would have it; one that is not streamed is not of the conversation."""
    where = _PATH.match(path)
    assert where
    system = (body.get("systemInstruction") or {}).get("parts", [])
    tools = [one for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]
    return {
        "model": where["model"],
        "system": "\n".join(part.get("text", "") for part in system),
        "messages": [_message(content) for content in body.get("contents", [])],
        "context": [found[0] for content in body.get("contents", []) for found in _put_in(content)],
        "tools": tools,
        "aside": where["what"] != "streamGenerateContent" or not tools,
        "streamed": where["what"] == "streamGenerateContent",
    }


def _put_in(content: dict[str, Any]) -> list[re.Match[str]]:
    return [found for part in content.get("parts", []) for found in _CONTEXT.finditer(part.get("text", ""))]


def _message(content: dict[str, Any]) -> dict[str, Any]:
    role = "assistant" if content.get("role") == "model" else "user"
    return {"role": role, "content": [_block(part) for part in content.get("parts", [])]}


def _block(part: dict[str, Any]) -> dict[str, Any]:
    if "functionResponse" in part:
        answer = part["functionResponse"].get("response", {})
        words = answer.get("output", answer.get("error", ""))
        return {"type": "tool_result", "content": words if isinstance(words, str) else json.dumps(words)}
    return {"type": "text", "text": _CONTEXT.sub("", part.get("text", ""))}


def pieces(blocks: list[dict[str, Any]], usage: dict[str, int], stop: str, model: str, number: str) -> list[bytes]:
    """Return the answer in pieces: one for each block, and the end."""
    told = [_chunk(model, number, {"content": {"role": "model", "parts": [_part(b)]}, "index": 0}) for b in blocks]
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": _STOPS.get(stop, stop), "index": 0}
    return [*told, _chunk(model, number, last, usageMetadata=_tokens(usage))]


def _tokens(usage: dict[str, int]) -> dict[str, int]:
    read, thought = usage.get("cache_read_input_tokens", 0), usage.get("thinking_tokens", 0)
    tokens = {
        "promptTokenCount": usage["input_tokens"] + read,
        "candidatesTokenCount": usage["output_tokens"] - thought,
    }
    tokens |= {"thoughtsTokenCount": thought} if thought else {}
    total = sum(tokens.values())
    tokens |= {"cachedContentTokenCount": read} if read else {}
    return tokens | {"totalTokenCount": total, "totalTokens": total}


def _part(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "thinking":
        return {"text": block["thinking"], "thought": True}
    if block["type"] == "text":
        return {"text": block["text"]}
    return {"functionCall": {"name": block["name"], "args": block["input"]}}


def _chunk(model: str, number: str, candidate: dict[str, Any], **more: Any) -> bytes:
    chunk = {"candidates": [candidate], "modelVersion": model, "responseId": number}
    return f"data: {json.dumps(chunk | more)}\r\n\r\n".encode()


def whole(blocks: list[dict[str, Any]], usage: dict[str, int], model: str, number: str) -> dict[str, Any]:
    """Return the answer to a request that wants it at once."""
    said = {"content": {"role": "model", "parts": [_part(b) for b in blocks]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [said], "modelVersion": model, "responseId": number, "usageMetadata": _tokens(usage)}


def error(status: int, message: str) -> dict[str, Any]:
    """Return what is said instead of an answer."""
    return {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}
