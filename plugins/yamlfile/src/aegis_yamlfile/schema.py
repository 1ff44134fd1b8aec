"""What a JSON schema says of a place in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def keys_at(schema: dict[str, Any], where: Sequence[str | int]) -> list[str]:
    """Return the keys a JSON schema allows at this place."""
    node: Any = schema
    for step in (*where, None):
        while "$ref" in node or "anyOf" in node:
            node = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node["anyOf"][0]
        if step is not None:
            node = node.get("properties", {}).get(step) or node.get("additionalProperties") or node.get("items") or {}
    return list(node.get("properties", {}))


def complaint(error: Mapping[str, Any], written: str) -> str:
    """Return what one error of a validation says of a file; `written` is the value as the file has it."""
    if error["type"] == "literal_error":
        return f"{error['input']!r} is none of {error['ctx']['expected']}"
    if error["type"] == "string_type" and not isinstance(error["input"], dict | list | None):
        kind = {bool: "yes or no", int: "a number", float: "a number"}.get(type(error["input"]), "a date")
        quoted = json.dumps(written or str(error["input"]), ensure_ascii=False)
        return f"this should be a text, and without quotes it is {kind}; quote it: {quoted}"
    return str(error["msg"]).removeprefix("Value error, ")
