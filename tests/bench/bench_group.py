"""A broadcast to twenty idle members, from the call to the last delivery, beside twenty handoffs in a row."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import trio

import aegis_group.plugin
import aegis_inbox.plugin
from aegis import Caller, Kernel, open_kernel
from aegis.testing.echo import EchoPlugin

MEMBERS, ROUNDS = 20, 15
ANNA = Caller("human", "anna")


async def heard(echo: EchoPlugin, agents: list[str], before: dict[str, int]) -> None:
    """Wait until each agent has one more prompt before it."""
    while any(len(echo.driver.sessions[agent].heard) <= before[agent] for agent in agents):
        await trio.lowlevel.checkpoint()


async def timed(kernel: Kernel, echo: EchoPlugin, handles: list[str], *, broadcast: bool) -> float:
    """Return the seconds from the call until the last member has it."""
    agents = [kernel.roster.find(handle).id for handle in handles]
    before = {agent: len(echo.driver.sessions[agent].heard) for agent in agents}
    began = time.perf_counter()
    if broadcast:
        await kernel.verbs.call(ANNA, "group broadcast", {"group": "all", "objective": "look"})
    else:
        for handle in handles:
            await kernel.verbs.call(ANNA, "handoff", {"target_handle": handle, "context": "look"})
    await heard(echo, agents, before)
    took = time.perf_counter() - began
    await trio.sleep(0.2)  # their turns end
    return took


async def main() -> None:
    """Print both medians and their ratio."""
    echo = EchoPlugin()
    plugins = {"echo": echo, "group": aegis_group.plugin, "inbox": aegis_inbox.plugin}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        async with open_kernel(Path(folder), plugins=plugins) as kernel:
            done = await kernel.verbs.call(ANNA, "group spawn-mixed", {"group": "all", "profiles": ["echo"] * MEMBERS})
            handles = list(done.handles.values())
            ours = [await timed(kernel, echo, handles, broadcast=True) for _ in range(ROUNDS)]
            floor = [await timed(kernel, echo, handles, broadcast=False) for _ in range(ROUNDS)]
    one, many = statistics.median(ours) * 1000, statistics.median(floor) * 1000
    print(f"broadcast to {MEMBERS} idle members: {one:.1f} ms / {MEMBERS} handoffs {many:.1f} ms, {one / many:.2f}x")


if __name__ == "__main__":
    trio.run(main)
