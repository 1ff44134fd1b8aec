"""Workflow keeps what every plugin and every primitive keeps."""

from aegis import Caller
from aegis.testing.contracts import PluginContract, PrimitiveContract

ANNA = Caller("human", "anna")


class TestWorkflow(PluginContract, PrimitiveContract):
    plugin, beside = "workflow", ("workflows", "inbox")

    async def run(self, kernel, caller):
        kwargs = {"agent": "echo", "text": "hello"}
        run = await kernel.verbs.call(caller, "workflow run", {"name": "prompt", "kwargs": kwargs})
        return await kernel.verbs.call(ANNA, "workflow wait", {"workflow_id": run.workflow_id})

    async def act(self, kernel):
        await self.run(kernel, ANNA)

    async def state(self, kernel):
        [run] = await kernel.verbs.call(ANNA, "workflow runs")
        return run, await kernel.verbs.call(ANNA, "workflow show", {"workflow_id": run.workflow_id})

    async def write(self, kernel, handle):
        await self.run(kernel, kernel.roster.caller(kernel.roster.find(handle)))
