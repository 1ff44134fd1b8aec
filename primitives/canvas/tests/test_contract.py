"""Canvas keeps what every plugin and every primitive keeps."""

from canvas_stage import ANNA, told

from aegis.testing.contracts import PluginContract, PrimitiveContract


class TestCanvas(PluginContract, PrimitiveContract):
    plugin = "canvas"

    async def act(self, kernel):
        await kernel.verbs.call(ANNA, "canvas open", {"name": "plan", "file": "docs/plan.md"})
        await kernel.verbs.call(
            ANNA, "canvas write-section", {"name": "plan", "section": "Goals", "content": "Ship it."}
        )
        await kernel.verbs.call(ANNA, "canvas subscribe", {"name": "plan", "sections": ["Goals"]})

    async def state(self, kernel):
        call = kernel.verbs.call
        log, lines = await call(ANNA, "canvas log", {"name": "plan"}), await call(ANNA, "canvas list")
        return log, lines, (kernel.project.root / "docs" / "plan.md").read_text()

    async def write(self, kernel, handle):
        caller = kernel.roster.caller(kernel.roster.find(handle))
        await kernel.verbs.call(ANNA, "canvas open", {"name": "plan", "file": "plan.md"})
        await kernel.verbs.call(caller, "canvas subscribe", {"name": "plan"})
        await kernel.verbs.call(ANNA, "canvas append-to-section", {"name": "plan", "section": "Goals", "text": "More."})
        await told(kernel)
