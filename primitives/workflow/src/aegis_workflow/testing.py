"""For tests of workflows: killed at every write, a run has to come to the same end, and no turn is paid for twice."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio

from aegis import Caller, Kernel, open_kernel
from aegis.ledger import Record
from aegis_workflow.catalogue import current_catalogue
from aegis_workflow.human_questions import HumanQuestions
from aegis_workflow.project_files import ProjectFiles
from aegis_workflow.service import Runner
from aegis_workflow.store import RunStore, run_of

PERSON = Caller("human", "tester")


async def begun(kernel: Kernel, name: str, **kwargs: Any) -> str:
    """Return the id of a new run."""
    return str((await kernel.verbs.call(PERSON, "workflow run", {"name": name, "kwargs": kwargs})).workflow_id)


async def ended(kernel: Kernel, run: str, decide: str = "rerun", seconds: float = 30) -> Any:
    """Return the run once it has ended; what needs attention is decided like this on the way."""
    with trio.fail_after(seconds):
        row = await kernel.verbs.call(PERSON, "workflow wait", {"workflow_id": run})
        while row.status == "needs attention":
            await kernel.verbs.call(PERSON, "workflow decide", {"workflow_id": run, "decision": decide})
            row = await kernel.verbs.call(PERSON, "workflow wait", {"workflow_id": run})
        return row


@asynccontextmanager
async def kept_at_every_write(kernel: Kernel, folder: Path) -> AsyncIterator[list[Path]]:
    """Enter to have the project copied into `folder` after every commit, as a kill at that moment would leave it."""
    copies: list[Path] = []

    def keep(_: object) -> None:
        copies.append(folder / f"killed-{len(copies)}")
        shutil.copytree(kernel.project.root, copies[-1], ignore=shutil.ignore_patterns("*.sock"))

    kernel.ledger.on_commit(keep)
    yield copies


async def end_after_a_kill(
    project: Path, plugins: Mapping[str, object], run: str, environment: Mapping[str, str]
) -> tuple[Any, dict[str, int]]:
    """Return how the run ends in a project that was left like this, and how often each prompt had a completed turn."""
    async with open_kernel(project, plugins=plugins, environment=environment) as kernel:
        row = await ended(kernel, run)
        with trio.fail_after(10):
            while any(agent.by == f"workflow:{run}" for agent in kernel.roster):  # closed beside the telling
                await trio.lowlevel.checkpoint()
        return row, await paid(kernel, row.name)


async def paid(kernel: Kernel, name: str) -> dict[str, int]:
    """Return how often each thing that the workflow said had a turn that completed."""
    said = [(e, r) for e, r in await kernel.post.newest(10_000) if e.sender == f"workflow:{name}"]
    return Counter(envelope.body for envelope, receipt in said if receipt.outcome == "completed")


async def replayed(kernel: Kernel, record: Path) -> str:
    """Return that the workflow as it is now takes the steps of a record that `aegis workflow record RUN` printed.

    Nothing is done. Raises `WorkflowError` with the step that differs.
    """
    lines = record.read_bytes().splitlines()
    records = [msgspec.json.decode(line, type=Record) for line in lines if line.strip()]
    store, run = RunStore(kernel), run_of(records)
    runner = Runner(
        kernel,
        store,
        HumanQuestions(kernel, store),
        current_catalogue(),
        lambda: kernel.config.section("workflows"),
        ProjectFiles(kernel.project.root, lambda: kernel.config.section("workflows").files),
    )
    return await runner.replay(run, records)
