"""A task that crashes is caught, reported and started again; too often, and it is down; nobody else notices."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from fakedriver import Plugin

from aegis.bus import Bus
from aegis.callers import Caller
from aegis.errors import LaunchError, NotFound
from aegis.supervise import Supervisor, root_cause
from aegis.testing.clock import TestClock
from aegis.testing.plugin import Opened
from aegis.verb_definition import verb
from aegis_processes.supervision import LIMIT


async def test_a_crash_is_reported_and_the_task_runs_again_with_growing_pauses(autojump: TestClock) -> None:
    bus, begun = Bus(), []

    async def run() -> None:
        begun.append(trio.current_time())
        if len(begun) < 4:
            raise ValueError(f"crash {len(begun)}")

    async with trio.open_nursery() as nursery:
        child = Supervisor(nursery, bus).start("shaky", run)
        await child.over.wait()
    assert [f.final for f in bus.faults] == [False] * 3
    assert [f.source for f in bus.faults] == ["shaky"] * 3
    assert "ValueError('crash 1')" in bus.faults[0].error
    pauses = [b - a for a, b in pairwise(begun)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4], abs=0.05)
    assert not child.down


async def test_too_many_crashes_mark_it_down_and_say_so_once(autojump: TestClock) -> None:
    bus, down = Bus(), []

    async def run() -> None:
        raise LaunchError("no")

    async with trio.open_nursery() as nursery:
        child = Supervisor(nursery, bus).start("hopeless", run, down.append)
        await child.over.wait()
    assert len(bus.faults) == LIMIT
    assert [f.final for f in bus.faults] == [False] * (LIMIT - 1) + [True]
    assert len(down) == 1
    assert "no" in down[0]


async def test_rare_crashes_are_forgiven_for_ever(autojump: TestClock) -> None:
    bus, times = Bus(), 0

    async def run() -> None:
        nonlocal times
        times += 1
        await trio.sleep(61)
        if times < 3 * LIMIT:
            raise ValueError

    async with trio.open_nursery() as nursery:
        child = Supervisor(nursery, bus).start("rare", run)
        await child.over.wait()
    assert times == 3 * LIMIT
    assert not child.down


async def test_siblings_live_and_stopping_waits_for_the_end(autojump: TestClock) -> None:
    ended: list[str] = []

    async def crash() -> None:
        raise ValueError

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            ended.append("work")

    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, Bus())
        crashing = supervisor.start("crash", crash)
        supervisor.start("work", work)
        await crashing.over.wait()
        assert not ended
        await supervisor.stop("work")
        assert ended == ["work"]
        await supervisor.stop("nobody")


def test_the_root_cause_of_groups_prefers_our_own_error() -> None:
    ours = LaunchError("the CLI died")
    group = ExceptionGroup("a", [trio.BrokenResourceError(), ExceptionGroup("b", [ValueError(), ours])])
    assert root_cause(group) is ours
    plain = ValueError()
    assert root_cause(ExceptionGroup("a", [plain])) is plain
    assert root_cause(plain) is plain


async def test_a_plugins_crash_withdraws_its_verbs_and_leaves_the_others(
    kernel_with: Opened, autojump: TestClock
) -> None:
    class Runner:
        def __init__(self, name: str, *, crashes: bool) -> None:
            self.name, self.crashes = name, crashes

        async def run(self) -> None:
            if self.crashes:
                raise RuntimeError("out of luck")
            await trio.sleep_forever()

    class Good(Runner):
        @verb("good thing")
        async def thing(self, caller: Caller) -> str:
            """Do."""
            return "done"

    class Bad(Runner):
        @verb("bad thing")
        async def thing(self, caller: Caller) -> str:
            """Do."""
            return "done"

    sam = Caller("human", "sam")
    plugins = {
        "good": Plugin(primitives=[Good("good", crashes=False)]),
        "bad": Plugin(primitives=[Bad("bad", crashes=True)]),
    }
    async with kernel_with(**plugins) as kernel:
        await trio.sleep(10)
        assert await kernel.verbs.call(sam, "good thing") == "done"
        with pytest.raises(NotFound, match=r"bad thing: its plugin 'bad' is down .*out of luck"):
            await kernel.verbs.call(sam, "bad thing")
        assert kernel.faults[-1].final


async def test_a_surface_that_does_not_come_up_is_reported_and_the_kernel_runs(
    kernel_with: Opened, autojump: TestClock
) -> None:
    class Stuck:
        name = "stuck"

        async def run(self, started: trio.Event) -> None:
            await trio.sleep_forever()

    class Crashes:
        name = "crashes"

        async def run(self, started: trio.Event) -> None:
            raise OSError("the port is taken")

    async with kernel_with(stuck=Plugin(frontends=[Stuck()]), crashes=Plugin(frontends=[Crashes()])) as kernel:
        finals = {f.source: f.error for f in kernel.faults if f.final}
    assert finals["stuck"] == "did not come up within 15 s"
    assert "the port is taken" in finals["crashes.crashes"]
