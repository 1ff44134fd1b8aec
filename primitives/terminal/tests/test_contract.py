"""Terminals keep what every plugin and every primitive keeps."""

from __future__ import annotations

import re

from aegis import Caller
from aegis.testing.contracts import PluginContract, PrimitiveContract

ANNA = Caller("human", "anna")


class TestTerminal(PluginContract, PrimitiveContract):
    plugin = "terminal"

    async def act(self, kernel):
        await kernel.verbs.call(ANNA, "term spawn", {"name": "build", "shell": "bash"})
        await kernel.verbs.call(ANNA, "term run", {"name": "build", "cmd": "echo kept; exit 3"})

    async def state(self, kernel):
        [row] = await kernel.verbs.call(ANNA, "term list")
        [run] = await kernel.verbs.call(ANNA, "term read", {"name": "build"})
        return re.sub(r"\((pid|closed).*\)", "", str(row)), run

    async def write(self, kernel, handle):
        caller = kernel.roster.caller(kernel.roster.find(handle))
        if not await kernel.verbs.call(ANNA, "term list"):
            await kernel.verbs.call(ANNA, "term spawn", {"name": "build", "shell": "bash"})
        await kernel.verbs.call(caller, "term subscribe", {"name": "build"})
        await kernel.verbs.call(ANNA, "term run", {"name": "build", "cmd": "echo done"})
