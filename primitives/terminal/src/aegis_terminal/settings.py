"""The section `plugins.terminal`."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from aegis import Settings
from aegis_terminal.policy import Rule


class TerminalSettings(Settings):
    """What shared shells are and may do."""

    shell: str = Field("", description="the shell of terminals that name none (default: $SHELL, else /bin/bash)")
    timeout: float = Field(120, gt=0, le=86_400, description="seconds a command has unless it says otherwise")
    redact: tuple[str, ...] = Field((), description="patterns of secrets, beside those of common tokens")
    policy: tuple[Rule, ...] = Field((), description="commands that are allowed, refused or asked about")

    @field_validator("redact")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns
