"""The plugin keeps what every plugin keeps, and what it promises itself."""

import pytest

from aegis import Caller, Kernel, Refused
from aegis.testing.contracts import PluginContract, PrimitiveContract

ANNA = Caller("human", "anna")


class TestDecisions(PluginContract, PrimitiveContract):
    plugin = "decisions"  # the name of its entry point
    writes = False  # it sends no mail

    async def act(self, kernel: Kernel) -> None:
        await kernel.verbs.call(ANNA, "decision record", {"text": "tabs, never spaces"})

    async def state(self, kernel: Kernel) -> object:
        return await kernel.verbs.call(ANNA, "decision list")

    async def test_nothing_is_decided_twice(self, kernel: Kernel) -> None:
        await self.act(kernel)
        with pytest.raises(Refused, match="this was decided before"):
            await self.act(kernel)
