"""A tool's use as one line: its name, and what it was used with."""

from __future__ import annotations

import json
import re
from typing import Any

from aegis_printable.printable import printable_line

_SERVER = re.compile(
    r"mcp__.+?__|mcp_aegis_(?=aegis_)|aegis_(?=aegis_)"
)  # what CLIs put before the name of a server's tool
_ALONE = ("command", "file_path", "filePath", "path", "url", "pattern", "query")  # says what the others only detail
_VALUE, _LINE = 60, 200  # characters


def tool_name(name: str) -> str:
    """Return a tool's name without the server's, which some CLIs put before it (`mcp__aegis__aegis_handoff`)."""
    return printable_line(_SERVER.sub("", name, count=1))


def tool_call(name: str, title: str = "", given: Any = None, *, longest: int = _LINE) -> str:
    """Return `name(arguments)` on one line of at most so many characters; the title stands in for arguments."""
    arguments = _arguments(given) or title.removeprefix(name).strip()
    shown, named = printable_line(arguments), tool_name(name)
    return _cut(f"{named}({shown})" if shown and shown != named else named or "tool", longest)


def tool_result(text: str, *, longest: int = _LINE) -> str:
    """Return the first line that says something, at most so many characters of it."""
    return _cut(printable_line(next((line for line in text.splitlines() if line.strip()), "").strip()), longest)


def _arguments(given: Any) -> str:
    if not isinstance(given, dict):
        return ""
    for key in _ALONE:
        if isinstance(value := given.get(key), str | list) and value:
            return value if isinstance(value, str) else " ".join(map(str, value))
    return ", ".join(f"{key}={_value(value)}" for key, value in given.items() if value not in (None, "", [], {}))


def _value(value: Any) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), _VALUE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
