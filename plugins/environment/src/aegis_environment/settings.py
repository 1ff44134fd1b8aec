"""The section `environment`."""

from __future__ import annotations

from pydantic import Field

from aegis import Settings


class EnvironmentSettings(Settings):
    """The section `environment`: what CLIs get beside the usual, and what they never get."""

    inherit: list[str] = Field([], description="more variables of yours that every CLI gets; `*` stands for anything")
    drop: list[str] = Field([], description="variables that no CLI gets, come what may; `*` stands for anything")
