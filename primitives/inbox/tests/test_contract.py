"""aegis-inbox keeps what every plugin and every primitive keeps."""

from __future__ import annotations

from aegis import Caller, Kernel
from aegis.testing.contracts import PluginContract, PrimitiveContract

ANNA = Caller("human", "anna")


class TestInbox(PluginContract, PrimitiveContract):
    plugin = "inbox"
    beside = ("records",)

    async def act(self, kernel: Kernel) -> None:
        agent = await kernel.verbs.call(ANNA, "spawn", {"agent": "echo", "handle": "calm-codd"})
        await kernel.verbs.call(ANNA, "send", {"handle": agent.handle, "text": "hello", "wait": True})
        await kernel.verbs.call(ANNA, "handoff", {"target_handle": "human:anna", "context": "read this later"})

    async def state(self, kernel: Kernel) -> object:
        messages = await kernel.verbs.call(ANNA, "message list")
        handles = [s.handle for s in await kernel.verbs.call(ANNA, "sessions")]
        return handles, messages, await kernel.verbs.call(ANNA, "message inbox", {"keep": True})

    async def write(self, kernel: Kernel, handle: str) -> None:
        await kernel.verbs.call(ANNA, "handoff", {"target_handle": handle, "context": "please review"})
