"""The section `workflows`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from aegis import Settings

Need = Literal["read", "auto", "write", "full"]


class Allowed(Settings):
    """One entry of `workflows.allow`."""

    agents: tuple[str, ...] = Field(description="profiles whose agents may run the workflow; `*` is all of them")
    permission: Need | None = Field(
        None, description="permission that such an agent must have; none is what the workflow's plugin says, else auto"
    )

    def __str__(self) -> str:
        return ", ".join(self.agents) + (f" ({self.permission})" if self.permission else "")


class WorkflowSettings(Settings):
    """`workflows`; a name counts with `-` and `_` alike."""

    files: tuple[str, ...] = Field(
        (), description="Python files of the project with workflows, `flows/*.py` for example"
    )
    config: dict[str, dict[str, Any]] = Field(default_factory=dict, description="each workflow's own settings")
    allow: dict[str, Allowed] = Field(
        default_factory=dict,
        description="which agents may run a workflow, by its name: `deploy: {agents: [coder], permission: write}`",
    )
    runs_per_agent: int = Field(8, ge=0, description="runs that an agent may have under way at the same time")
    steps: int = Field(100_000, ge=1, description="steps that a run may take; each is kept")
    memory: int = Field(4_000, ge=0, description="megabytes that a workflow of the project may take; 0 is no limit")

    @field_validator("config", "allow")
    @classmethod
    def _each_once(cls, value: dict[str, Any]) -> dict[str, Any]:
        spelled: dict[str, str] = {}
        for name in value:
            if (other := spelled.setdefault(name.replace("-", "_"), name)) != name:
                raise ValueError(f"{other!r} and {name!r} are one workflow; keep one of the two")
        return value
