"""Without aegis-workflow its workflows have no effect, and that is said."""

from __future__ import annotations

import aegis_workflow.plugin
import aegis_workflows.plugin
from aegis import Caller
from aegis.events import Notice

ANNA = Caller("human", "anna")


async def test_alone_it_says_that_it_has_no_effect_until_what_runs_workflows_comes(kernel_with):
    async with kernel_with() as kernel:
        with kernel.bus.subscribe() as news:
            await kernel.plugins.enter("workflows", aegis_workflows.plugin)
            said = [e.text for batch in news.take() for e in batch.events if isinstance(e, Notice)]
        assert said == ["aegis-workflows has no effect: aegis-workflow, which runs workflows, is not here"]
        assert not kernel.faults
        await kernel.plugins.enter("workflow", aegis_workflow.plugin)
        assert "tdd_cycle" in [row.name for row in await kernel.verbs.call(ANNA, "workflow list")]
        await kernel.plugins.leave("workflows")
        assert "tdd_cycle" not in [row.name for row in await kernel.verbs.call(ANNA, "workflow list")]
