"""The section `workflows`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aegis import Settings


class WorkflowSettings(Settings):
    """`workflows`."""

    files: tuple[str, ...] = Field(
        (), description="Python files of the project with workflows, `flows/*.py` for example"
    )
    config: dict[str, dict[str, Any]] = Field(default_factory=dict, description="each workflow's own settings")
