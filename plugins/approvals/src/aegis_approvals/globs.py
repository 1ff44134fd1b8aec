"""The globs of rules: `*` and `?` within a folder's name, `**` for anything, `[*]` for the star itself."""

from __future__ import annotations

import re
from functools import lru_cache

PATH, ANY = "[^/]", "."
UNCHAINED = r"[^;&|<>()$`\n\r]"  # no wildcard of an allow rule stands for what a shell chains commands with
_TOKEN = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|\[([*?\[])\]|(.)", re.DOTALL)


def covers(glob: str, text: str, one: str) -> bool:
    """Return whether the glob matches all of the text; `*` and `?` stand for characters of the class `one`."""
    return bool(_compiled(glob, one).fullmatch(text))


def escaped(text: str) -> str:
    """Return the glob that matches exactly this text."""
    return re.sub(r"[*?\[]", r"[\g<0>]", text)


@lru_cache(512)
def _compiled(glob: str, one: str) -> re.Pattern[str]:
    """Return the glob as a pattern: `*` and `?` stand for `one`, `**` for anything, `[*]` for the star itself."""
    parts: list[str] = []
    for folders, every, star, mark, literal, other in _TOKEN.findall(glob):
        wild = "(?:.*/)?" if folders else ".*" if every else f"{one}*" if star else one if mark else ""
        parts.append(wild or re.escape(literal or other))
    return re.compile("".join(parts), re.DOTALL)
