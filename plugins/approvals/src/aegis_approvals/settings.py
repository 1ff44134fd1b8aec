"""The section `plugins.approvals`: rules, and how long a person may take."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from pydantic import Field, model_validator

from aegis import Settings
from aegis.events import ToolKind
from aegis_approvals.globs import ANY, PATH, UNCHAINED, covers


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
            return covers(glob, value, PATH)
        return covers(self.match, value, ANY if self.answer == "deny" else UNCHAINED)


class ApprovalsSettings(Settings):
    """`plugins.approvals`."""

    timeout: float = Field(3600, gt=0, description="seconds a request waits for a person before it expires")
    rules: list[Rule] = Field([], description="what is answered without asking; deny rules win over allow rules")
