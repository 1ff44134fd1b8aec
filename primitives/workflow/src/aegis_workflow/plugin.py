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
def aegis_hookspecs() -> object:
    """Publish the hook `aegis_workflows`."""
    from aegis_workflow import hookspecs  # noqa: PLC0415 - entry modules stay light

    return hookspecs


@hookimpl
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> list[Primitive]:
    """Offer workflows and their runs."""
    from aegis import Registry  # noqa: PLC0415 - the same
    from aegis_workflow.catalogue import Catalogue, offered_key  # noqa: PLC0415
    from aegis_workflow.human_questions import HumanQuestions  # noqa: PLC0415
    from aegis_workflow.project_files import ProjectFiles  # noqa: PLC0415
    from aegis_workflow.service import Runner  # noqa: PLC0415
    from aegis_workflow.store import RunStore  # noqa: PLC0415
    from aegis_workflow.verbs import WorkflowVerbs  # noqa: PLC0415

    offered: Registry[Any] = Registry("workflow")
    kernel.plugins.collect("aegis_workflows", offered, offered_key)
    files = ProjectFiles(kernel.project.root, lambda: settings["workflows"].files, kernel.trust.read)
    catalogue, store = Catalogue(offered, files), RunStore(kernel)
    questions = HumanQuestions(kernel, store)
    runner = Runner(kernel, store, questions, catalogue, lambda: settings["workflows"], files)
    kernel.config.remarkers.add("workflow", catalogue.remarks)
    return [WorkflowVerbs(kernel, store, questions, runner)]


@hookimpl(optionalhook=True)
def aegis_mirrors() -> list[tuple[str, str]]:
    """Have the book mirrored to a file for each run."""
    return [("workflow", "workflows/{key}.jsonl")]
