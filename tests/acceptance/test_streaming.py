"""With every plugin here, what agents say all the time wakes nobody for each word."""

from __future__ import annotations

from importlib.metadata import entry_points

import trio
from trio.lowlevel import Task

from aegis import Caller
from aegis.app import open_kernel
from aegis.events import Text, TurnEnded
from aegis.plugins import GROUP
from aegis.testing.clock import TestClock

MOMENTS, WORDS = 40, 5  # twentieths of a second, and what each agent says in one of them
AGENTS = [f"agent{n}" for n in range(20)]


class Steps(trio.abc.Instrument):
    """Counts how often tasks run."""

    count = 0

    def before_task_step(self, task: Task) -> None:
        self.count += 1


async def test_words_wake_a_few_tasks_at_a_few_moments(project, environment, clock: TestClock):
    plugins = {point.name: point.load() for point in entry_points(group=GROUP)}
    async with open_kernel(project, plugins=plugins, environment=environment) as kernel, trio.open_nursery() as nursery:
        heard: list[int] = []

        async def follow(task_status: trio.TaskStatus[None]) -> None:
            async with kernel.client(Caller("human", "anna")).watch() as news:
                task_status.started()
                async for batches in news:
                    events = [event for batch in batches for event in batch.events]
                    heard.extend([sum(isinstance(event, Text | TurnEnded) for event in events)])

        await nursery.start(follow)
        await trio.testing.wait_all_tasks_blocked(0.2)
        clock.trio.rate, steps = 0, Steps()
        trio.lowlevel.add_instrument(steps)
        for _ in range(MOMENTS):
            for agent in AGENTS * WORDS:
                kernel.bus.publish(agent, Text("word "))
                await kernel.bus.room()
            await trio.testing.wait_all_tasks_blocked()
            clock.jump(0.05)
            await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
        assert sum(heard) == MOMENTS * WORDS * len(AGENTS)
        assert steps.count < 12 * MOMENTS, "and not a step for each of 4,000 words"
        heard.clear()
        kernel.bus.publish(AGENTS[0], Text("the last"), TurnEnded("completed"))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [2], "an end does not wait"
        clock.trio.rate = 1
        nursery.cancel_scope.cancel()
