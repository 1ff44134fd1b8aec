"""What aegis-workflow offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aegis import hookimpl
from aegis_workflow.settings import WorkflowSettings

if TYPE_CHECKING:
    from aegis import Kernel, Primitive


@hookimpl
def aegis_settings() -> dict[str, Any]:
    """Own the section `workflows`."""
    return {"workflows": WorkflowSettings}


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer workflows and their runs."""
    from aegis_workflow.catalogue import offer  # noqa: PLC0415 - entry modules stay light
    from aegis_workflow.human_questions import HumanQuestions  # noqa: PLC0415
    from aegis_workflow.project_files import ProjectFiles  # noqa: PLC0415
    from aegis_workflow.service import Runner  # noqa: PLC0415
    from aegis_workflow.store import RunStore  # noqa: PLC0415
    from aegis_workflow.verbs import WorkflowVerbs  # noqa: PLC0415

    files = ProjectFiles(kernel.project.root, settings["workflows"].files)
    offer((function for _, function in kernel.plugins.offers("aegis_workflows")), files.functions)
    store = RunStore(kernel)
    questions = HumanQuestions(kernel, store)
    runner = Runner(kernel, store, questions, settings["workflows"].config)
    return [WorkflowVerbs(kernel, store, questions, runner)]
