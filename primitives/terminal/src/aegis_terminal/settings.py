"""The section `plugins.terminal`."""

from __future__ import annotations

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
    redact: tuple[str, ...] = Field((), description="regular expressions (RE2) of secrets, beside common tokens")
    policy: tuple[Rule, ...] = Field((), description="commands that are allowed, refused or asked about")

    @field_validator("redact")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if patterns:
            from aegis_patterns.pattern import Pattern, PatternError  # noqa: PLC0415 - its engine takes time to load
        for pattern in patterns:
            try:
                everything = Pattern(pattern).found(b"")
            except PatternError as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
            if everything:
                raise ValueError(f"{pattern!r} matches the empty text, and so it is everywhere")
        return patterns
