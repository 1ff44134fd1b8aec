"""What Gemini CLI says of a tool in words alone: read exactly as it writes them, or not at all.

A shell command is the title, and the folder stands beside it with the reason and whether it runs on. What a server's
tool is given stands there as JSON, unless it is long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_HERE = "[current working directory {}]"
_MORE = re.compile(r"(?: \([^\n]*\))?(?: \[background\])?\Z")
_THERE = re.compile(r"\[in ([^\]\n]+)\](?: \([^\]\n]*\))?\Z")  # a `]` more, and it could be part of the folder


def given(kind: str, title: str, beside: str, folder: Path) -> dict[str, Any] | None:
    """Return what a tool is given that an agent in this folder is about to use; None when the words say it unclearly.

    `kind` and `title` are the protocol's, `beside` is the text in its content.
    """
    if kind == "execute":
        return _command(title, beside, folder)
    return _arguments(beside) if kind == "other" else None


def _command(title: str, beside: str, folder: Path) -> dict[str, Any] | None:
    for here in _spellings(folder):
        if beside.startswith(here):
            return {"command": title} if title and _MORE.match(beside, len(here)) else None
    there = _THERE.match(beside)
    return {"command": title, "dir_path": there[1]} if title and there else None


def _spellings(folder: Path) -> Iterable[str]:
    return {_HERE.format(path) for path in (folder, folder.resolve())}


def _arguments(beside: str) -> dict[str, Any] | None:
    try:
        said = json.loads(beside)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
