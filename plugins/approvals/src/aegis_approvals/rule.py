"""A rule: what an agent may do, or may not, without anybody being asked."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from pydantic import Field, model_validator

from aegis import Settings
from aegis.events import ToolKind
from aegis_approvals.subject import Subject

_TOKEN = re.compile(r"(\*\*/)|(\*\*)|(\*)|(\?)|\[([*?\[])\]|(.)", re.DOTALL)
_PATH, _ANY = "[^/]", "."
_ALONE = r"[^;&|<>()$`\n\r]"  # no wildcard of an allow rule stands for what a shell chains commands with


class Rule(Settings):
    """One entry of `plugins.approvals.rules`."""

    agent: str = Field(min_length=1, description="the handle or the profile it holds for")
    tool: str | None = Field(None, min_length=1, description="the tool as its CLI names it")
    kind: ToolKind | None = Field(None, description="read, edit, delete, move, search, execute, fetch, … or other")
    match: str = Field(min_length=1, description="a glob on the command, the path, the URL or the input")
    answer: Literal["allow", "deny"] = Field(description="what is answered")

    @model_validator(mode="after")
    def _is_for_something(self) -> Rule:
        if not (self.tool or self.kind):
            raise ValueError("a rule names a `tool` or a `kind`")
        return self

    @property
    def id(self) -> str:
        """A short name made of what the rule says: the same rule has it again."""
        said = (self.agent, self.tool, self.kind, self.match, self.answer)
        return sha256(repr(said).encode()).hexdigest()[:6]

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.kind, self.tool)))
        return f"{self.answer} {self.agent} {what} {self.match!r}"

    def fits(self, tool: str, kind: str) -> bool:
        """Return whether the rule is about this tool."""
        return self.tool in (None, tool) and self.kind in (None, kind)

    def covers(self, sort: str, value: str) -> bool:
        """Return whether the rule's glob matches one value of a subject."""
        if sort in ("path", "url"):
            glob = self.match if sort == "url" or self.match.startswith(("/", "./", "**")) else f"./{self.match}"
            return bool(_compiled(glob, _PATH).fullmatch(value))
        return bool(_compiled(self.match, _ANY if self.answer == "deny" else _ALONE).fullmatch(value))


def chosen(rules: list[Rule], about: Subject, answer: Literal["allow", "deny"]) -> Rule | None:
    """Return the first rule that gives this answer: to deny one value is enough, to allow each must be covered."""
    fitting = [rule for rule in rules if rule.answer == answer]
    found = [next((r for r in fitting if r.covers(about.sort, value)), None) for value in about.values]
    if answer == "allow" and not all(found):
        return None
    return next(filter(None, found), None)


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
