"""The client in the kernel's own process keeps the contract of all clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from aegis import Caller, Client, Probe, Profile, hookimpl
from aegis.app import Kernel
from aegis.client import GLANCE
from aegis.events import Notice, Text, Thought
from aegis.project import Project
from aegis.testing.client_contract import ClientContract


class TestLocalClient(ClientContract):
    @asynccontextmanager
    async def connect(self, kernel: Kernel) -> AsyncIterator[Client]:
        yield kernel.client(Caller("human", "anna"))


class Slow:
    """A driver, and the plugin that offers it, whose CLI must not be looked for."""

    name, settings, resumes, probed = "slow", Profile, False, 0

    def probe(self):
        self.probed += 1
        return Probe(True)

    @hookimpl
    def aegis_drivers(self):
        return [self]


async def test_a_snapshot_starts_no_process(kernel_with):
    slow = Slow()
    async with kernel_with(slow=slow) as kernel:
        for _ in range(3):
            await kernel.client(Caller("human", "anna")).snapshot()
            kernel.snapshot()
    assert slow.probed == 0


async def test_words_wait_for_more_of_them_and_whatever_else_happens_takes_them_along(kernel, clock):
    heard = []

    async def follow(task_status):
        async with kernel.client(Caller("human", "anna")).watch() as news:
            task_status.started()
            async for batches in news:
                heard.extend([[e for b in batches for e in b.events]])

    async def say(*events, passes=0.0):
        for event in events:
            kernel.bus.publish("1", event)
        clock.jump(passes)
        await trio.testing.wait_all_tasks_blocked()
        told, heard[:] = list(heard), []
        return told

    async with trio.open_nursery() as nursery:
        await nursery.start(follow)
        clock.trio.rate = 0
        assert await say(Text("a"), Thought("b")) == []
        assert await say(Notice("c")) == [[Text("a"), Thought("b"), Notice("c")]]
        assert await say(*[Text("d")] * 100) == []
        assert await say(passes=GLANCE) == [[Text("d")] * 100]
        clock.trio.rate = 1
        nursery.cancel_scope.cancel()


def test_numbers_rise_over_restarts_also_when_the_clock_is_set_back(project):
    folder = Project(project)
    folder.prepare()
    hour = 3_600_000_000
    numbers = [folder.first_number(n) for n in (10 * hour, 11 * hour, 2 * hour, 2 * hour, 20 * hour)]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (10 * hour, 20 * hour), "by the clock, where it can be"
    assert folder.first_number(1_800_000_000_000_000) < 2**53
    (folder.state / "numbers").write_text("nonsense")
    assert folder.first_number(30 * hour) == 30 * hour


async def test_a_restarted_kernel_goes_on_above_the_numbers_of_the_last(kernel_with):
    numbers = []
    for _ in range(3):
        async with kernel_with() as kernel:
            kernel.bus.publish("1", *[Text("x")] * 100)
            numbers.append(kernel.bus.number)
    assert numbers == sorted(set(numbers))
