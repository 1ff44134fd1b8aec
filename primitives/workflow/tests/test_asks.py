"""What a run asks is shown with the answers that it takes."""

from __future__ import annotations

import pytest
from workflow_stage import Stage, quiet

from aegis import NotFound, hookimpl
from aegis_workflow.api import get_workflow, workflow


@workflow("picks")
async def picks(engine):
    """Ask for a colour, and then for a name."""
    colour = await engine.ask_human("which colour?", options=["red", "blue"])
    return [colour, await engine.ask_human("which name?")]


class Offer:
    @hookimpl
    def aegis_workflows(self):
        return [get_workflow("picks")]


async def test_a_question_is_shown_with_its_options(kernel_with, plugins, echo):
    async with kernel_with(**plugins, offer=Offer()) as kernel:
        stage = Stage(kernel, echo)
        run = await stage.begin("picks")
        await quiet()
        row = await stage.call("workflow show", workflow_id=run)
        [at] = row.asks
        assert (row.asks, row.options) == ({at: "which colour? (red | blue)"}, {at: ["red", "blue"]})
        assert (await stage.call("workflow runs"))[0].options == row.options
        with pytest.raises(NotFound, match=r"it asks: .*which colour\? \(red \| blue\)"):
            await stage.call("workflow answer", workflow_id=run, text="red", step="99")
        await stage.call("workflow answer", workflow_id=run, text="red")
        await quiet()
        row = await stage.call("workflow show", workflow_id=run)
        assert (list(row.asks.values()), row.options) == (["which name?"], {})
        await stage.call("workflow answer", workflow_id=run, text="Eve")
        assert (await stage.end(run)).result == ["red", "Eve"]
