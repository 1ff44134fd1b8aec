"""What aegis-workflow offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from aegis import Settings, hookimpl

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


class WorkflowSettings(Settings):
    """`workflows`."""

    files: tuple[str, ...] = Field(
        (), description="Python files of the project with workflows, `flows/*.py` for example"
    )
    config: dict[str, dict[str, Any]] = Field(default_factory=dict, description="each workflow's own settings")


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `workflows`."""
    return {"workflows": WorkflowSettings}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer workflows and their runs."""
    from aegis_workflow.catalogue import offer  # noqa: PLC0415 - entry modules stay light
    from aegis_workflow.files import Files  # noqa: PLC0415
    from aegis_workflow.journal import Journal  # noqa: PLC0415
    from aegis_workflow.questions import Questions  # noqa: PLC0415
    from aegis_workflow.runner import Runner  # noqa: PLC0415
    from aegis_workflow.workflows import Workflows  # noqa: PLC0415

    files = Files(kernel.project.root, settings["workflows"].files)
    offer((function for _, function in kernel.plugins.offers("aegis_workflows")), files.functions)
    journal = Journal(kernel)
    questions = Questions(kernel, journal)
    runner = Runner(kernel, journal, questions, settings["workflows"].config)
    return [Workflows(kernel, journal, questions, runner)]
