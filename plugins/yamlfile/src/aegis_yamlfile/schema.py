"""What a JSON schema says of a place in a file."""

from __future__ import annotations

from collections.abc import Sequence
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
