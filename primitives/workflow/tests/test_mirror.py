"""Each run has a file of its own among the mirrored books."""

from __future__ import annotations

import json

from workflow_stage import Stage

import aegis_records.plugin
from aegis import hookimpl
from aegis_workflow.api import get_workflow, workflow


@workflow("mirrored")
async def mirrored(engine):
    """Sleep for no time."""
    await engine.sleep(0)


class Offer:
    @hookimpl
    def aegis_workflows(self):
        return [get_workflow("mirrored")]


async def test_a_run_is_mirrored_to_a_file_of_its_id(kernel_with, plugins, echo, project):
    async with kernel_with(**plugins, offer=Offer(), records=aegis_records.plugin) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.call("workflow run", name="mirrored")
        await stage.call("ledger export")
    [file] = (project / ".aegis/state/workflows").iterdir()
    assert file.name == f"{run.workflow_run_id}.jsonl"
    events = [json.loads(line)["event"] for line in file.read_text().splitlines()]
    assert events[0] == "started"
