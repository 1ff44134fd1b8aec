"""The section `plugins.terminal`."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from aegis import Settings

Verdict = Literal["allow", "deny", "ask"]


class Rule(Settings):
    """One entry of `plugins.terminal.policy`."""

    match: str = Field(min_length=1, description="the command; `*` matches anything")
    answer: Verdict = Field(description="allow, deny or ask; deny goes before ask, and ask before allow")


class TerminalSettings(Settings):
    """Settings of shared terminals."""

    shell: str = Field("", description="the shell of terminals that name none (default: $SHELL, else /bin/bash)")
    timeout: float = Field(120, gt=0, le=86_400, description="seconds that a command has, unless it sets its own limit")
    redact: tuple[str, ...] = Field((), description="regular expressions of secrets, in addition to common tokens")
    policy: tuple[Rule, ...] = Field((), description="commands that are allowed, refused or asked about")

    @field_validator("redact")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return patterns
