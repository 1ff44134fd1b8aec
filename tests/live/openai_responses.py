"""OpenAI's responses, streamed: how Codex asks the scripted model, and how that answers.

Codex keeps the tools of an MCP server in a namespace: the block calls `mcp__aegis.ping`. A tool that takes words
and no JSON, as its `apply_patch`, is called with the one argument `words`.
"""

from __future__ import annotations

import json
import re
from typing import Any

PATH = "/v1/responses"
# What the CLI itself puts in, each in a message of the user's.
_CONTEXT = re.compile(r"<(environment_context|turn_aborted|user_instructions)>.*?</\1>", re.DOTALL)


def fits(path: str) -> bool:
    """Return whether this is a request of this kind."""
    return path.split("?")[0] == PATH


def understood(body: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the request as the Messages API would have it; one without tools is not of the conversation."""
    said = body["input"]
    return {
        "model": body["model"],
        "system": "\n".join([body.get("instructions", ""), *map(_words, filter(_of_the_developer, said))]),
        "messages": [_message(item) for item in said if not _of_the_developer(item)],
        "tools": body.get("tools", []),
        "aside": not body.get("tools"),
    }


def _of_the_developer(item: dict[str, Any]) -> bool:
    return item.get("role") in ("developer", "system")


def _message(item: dict[str, Any]) -> dict[str, Any]:
    if str(item.get("type")).endswith("_output"):
        output = item["output"]
        words = output if isinstance(output, str) else "\n".join(part.get("text", "") for part in output)
        return {"role": "user", "content": [{"type": "tool_result", "content": words}]}
    parts = [_CONTEXT.sub("", part.get("text", "")) for part in item.get("content") or []]
    role = "user" if item.get("role") == "user" else "assistant"
    return {"role": role, "content": [{"type": "text", "text": words} for words in parts]}


def _words(item: dict[str, Any]) -> str:
    return "\n".join(part.get("text", "") for part in item["content"])


def pieces(blocks: list[dict[str, Any]], usage: dict[str, int], stop: str, model: str, number: str) -> list[bytes]:
    """Return the answer in pieces: one for each block, and the end."""
    tokens = {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"]}
    tokens["total_tokens"] = sum(tokens.values())
    told = [_told(block, f"{number}_{index}") for index, block in enumerate(blocks)]
    told[:1] = [_event("response.created", response={"id": number}) + b"".join(told[:1])]
    return [*told, _event("response.completed", response={"id": number, "output": [], "usage": tokens})]


def _told(block: dict[str, Any], number: str) -> bytes:
    if block["type"] == "thinking":
        words = block["thinking"]
        item = {"type": "reasoning", "id": number, "summary": [{"type": "summary_text", "text": words}]}
        added = _event("response.output_item.added", item=item | {"summary": []})
        delta = _event("response.reasoning_summary_text.delta", item_id=number, summary_index=0, delta=words)
        return added + delta + _event("response.output_item.done", item=item)
    if block["type"] == "text":
        item = {"type": "message", "id": number, "role": "assistant", "content": []}
        added = _event("response.output_item.added", item=item)
        delta = _event("response.output_text.delta", item_id=number, delta=block["text"])
        content = [{"type": "output_text", "text": block["text"]}]
        return added + delta + _event("response.output_item.done", item=item | {"content": content})
    namespace, _, name = block["name"].rpartition(".")
    call = {"call_id": f"call_{number}", "name": name} | ({"namespace": namespace} if namespace else {})
    if block["input"].keys() == {"words"}:
        call |= {"type": "custom_tool_call", "input": block["input"]["words"]}
    else:
        call |= {"type": "function_call", "arguments": json.dumps(block["input"])}
    return _event("response.output_item.done", item=call)


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def error(status: int, message: str) -> dict[str, Any]:
    """Return what is said instead of an answer."""
    return {"error": {"message": message, "type": "scripted_error", "code": str(status)}}
