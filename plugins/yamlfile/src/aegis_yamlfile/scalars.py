"""Values as YAML text: on one line, or in lines of their own."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

_PLAIN = re.compile(r"[^\W\d][\w./@+-]*(?: [\w./@+()-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def scalar(value: Any) -> str:
    """Return the value on one line; raises `ValueError` for what YAML has no word for."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case float():
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        case str():
            return _text(value)
        case datetime.date():  # a time, too
            return value.isoformat()
    raise ValueError(f"{type(value).__name__} is nothing that a YAML file can say")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(known.get(c) or (c if c.isprintable() else f"\\U{ord(c):08X}") for c in text) + '"'


def inline(value: Any) -> str:
    """Return the value on one line, mappings and lists in brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return scalar(value)


def entry(key: str, value: Any, style: tuple[int, int]) -> list[str]:
    """Return the lines of a mapping's entry, not moved in; `style` says by how much keys and dashes are."""
    step, dash = style
    if isinstance(value, dict) and value:
        return [f"{scalar(key)}:", *(" " * step + line for k, v in value.items() for line in entry(k, v, style))]
    if isinstance(value, list) and value:
        return [f"{scalar(key)}:", *(" " * dash + line for one in value for line in item(one, style))]
    return [f"{scalar(key)}: {inline(value)}"]


def item(value: Any, style: tuple[int, int], gap: int = 2) -> list[str]:
    """Return the lines of a list's item, not moved in; `gap` is how far its text stands behind the dash."""
    if isinstance(value, dict) and value:
        lines = [line for key, one in value.items() for line in entry(key, one, style)]
    elif isinstance(value, list) and value:
        lines = [line for one in value for line in item(one, style)]
    else:
        lines = [inline(value)]
    return [("-" + " " * (gap - 1) if n == 0 else " " * gap) + line for n, line in enumerate(lines)]
