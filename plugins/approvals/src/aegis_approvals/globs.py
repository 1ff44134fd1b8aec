"""The globs of rules: `*` and `?` within a folder's name, `**` for anything, `[*]` for the star itself."""

from __future__ import annotations

import re
from functools import lru_cache

from aegis_patterns.pattern import Pattern

PATH, ANY = "[^/]", "."
UNCHAINED = r"[^;&|<>()$`\n\r]"  # no wildcard of an allow rule stands for what a shell chains commands with
_LONGEST = 1_000_000  # characters; a person wrote it, and may know why
_TOKEN = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|\[([*?\[])\]|(.)", re.DOTALL)


def covers(glob: str, text: str, one: str) -> bool:
    """Return whether the glob matches all of the text; `*` and `?` stand for characters of the class `one`."""
    return _compiled(glob, one).found(text.encode(errors="replace"))


def escaped(text: str) -> str:
    """Return the glob that matches exactly this text."""
    return re.sub(r"[*?\[]", r"[\g<0>]", text)


@lru_cache(512)
def _compiled(glob: str, one: str) -> Pattern:
    """Return the glob as a pattern that takes linear time."""
    parts: list[str] = []
    for folders, every, star, mark, literal, other in _TOKEN.findall(glob):
        wild = "(?:.*/)?" if folders else ".*" if every else f"{one}*" if star else one if mark else ""
        parts.append(wild or _literal(literal or other))
    return Pattern(rf"(?s)\A(?:{''.join(parts)})\z", longest=_LONGEST)


def _literal(character: str) -> str:
    return f"\\x{{{ord(character):x}}}" if not character.isalnum() else character
