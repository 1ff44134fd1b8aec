"""Sleeping agents: no session and no process by intent, everything else kept, and awake with the next message."""

from __future__ import annotations

import pytest
import trio
from fakedriver import FakeDriver, Plugin, work
from test_agent_life import ask, gone, say

from aegis.agent import Agent
from aegis.app import Kernel
from aegis.driver import Seat
from aegis.errors import Refused
from aegis.events import AgentChanged, TurnEnded
from aegis.testing.plugin import Opened
from aegis.turn import Turn


class Watcher:
    """Says which sessions are gone."""

    name = "watcher"

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def session_ended(self, seat: Seat) -> None:
        self.ended.append(seat.handle)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def plugins(driver: FakeDriver, watcher: Watcher) -> dict[str, object]:
    return {"fake": Plugin(drivers=[driver], interceptors=[watcher])}


async def until(agent: Agent, state: str) -> None:
    with agent.kernel.bus.subscribe() as news, trio.fail_after(10):
        while agent.state != state:
            await anext(news)


async def noted(agent: Agent, source: str, text: str) -> None:
    with agent.kernel.bus.subscribe() as news, trio.fail_after(10):
        while agent.notes.get(source, "") != text:
            await anext(news)


async def test_a_sleeper_has_no_session_and_the_next_message_resumes_it(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    await ask(kernel, ann, "before")
    await ann.sleep("nothing to do until noon")
    assert (driver.open_now, ann.snapshot()["state"], ann.snapshot()["reason"]) == (
        0,
        "asleep",
        "nothing to do until noon",
    )
    await ann.sleep()  # once more is nothing
    assert (await ask(kernel, ann, "after")).reply == "echo: after"
    assert (driver.sessions[1].seat.resume, ann.state, ann.reason, ann.turns) == ("session-0", "idle", "", 2)
    assert (ann.began, driver.open_now) == ("resumed", 1)


async def test_a_sleeper_can_be_woken_without_mail(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    await ann.sleep()
    ann.mailbox.wake()
    await until(ann, "idle")
    assert (ann.state, driver.open_now, driver.heard) == ("idle", 1, [])


async def test_no_turn_is_cut_short_for_sleep(kernel: Kernel, driver: FakeDriver) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    first = await say(kernel, ann, "go")
    with pytest.raises(Refused, match=r"ann cannot be put to sleep now: it (has mail|is working)"):
        await ann.sleep()
    await until(ann, "working")
    with pytest.raises(Refused, match="ann cannot be put to sleep now: it is working"):
        await ann.sleep()
    driver.sessions[0].end()
    assert (await kernel.post.wait_turn(first.id)).outcome == "completed"


async def test_what_follows_a_turn_is_finished_before_the_agent_sleeps(kernel: Kernel, driver: FakeDriver) -> None:
    seen: list[int] = []

    class Tired:
        name = "tired"

        async def after_turn(self, turn: Turn, ended: TurnEnded) -> None:
            kernel.base.start_soon(ann.sleep)
            await trio.testing.wait_all_tasks_blocked()
            seen.append(driver.open_now)

    kernel.interceptors.add(Tired())
    ann = await kernel.roster.spawn("fake", "ann")
    await ask(kernel, ann, "go")
    await until(ann, "asleep")
    assert (seen, ann.state) == ([1], "asleep")


async def test_mail_that_comes_while_it_falls_asleep_is_read(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    states: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ann.sleep)
        while not ann.to_sleep:
            await trio.lowlevel.checkpoint()
        nursery.start_soon(ask, kernel, ann, "hello")
        with kernel.bus.subscribe() as news:
            while "idle" not in states:
                states += [e.agent["state"] for b in await anext(news) for e in b.events if type(e) is AgentChanged]
    assert driver.sessions[-1].heard and states[0] == "asleep"


async def test_a_stopped_agent_can_be_put_to_sleep_and_a_failed_or_closed_one_cannot(
    kernel: Kernel, driver: FakeDriver
) -> None:
    ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
    driver.sessions[0].die(gone())
    driver.sessions[1].die(Refused("no more of this"))
    await trio.testing.wait_all_tasks_blocked()
    await ann.sleep()
    assert (ann.state, ann.reason) == ("asleep", "it was put to sleep")
    with pytest.raises(Refused, match="bob cannot be put to sleep now: it has failed"):
        await bob.sleep()
    await kernel.roster.close(ann)
    with pytest.raises(Refused, match="ann cannot be put to sleep now: closed"):
        await ann.sleep()


async def test_it_still_sleeps_after_a_restart_and_no_longer_once_it_was_awake(
    kernel_with: Opened, plugins: dict[str, object], driver: FakeDriver
) -> None:
    async with kernel_with(**plugins) as kernel:
        ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
        for agent in (ann, bob):
            await agent.sleep("night")
        await ask(kernel, bob, "wake up")
    async with kernel_with(**plugins) as kernel:
        assert [(a["state"], a["reason"]) for a in kernel.roster.snapshot()] == [("asleep", "night"), ("stopped", "")]
        assert (await ask(kernel, kernel.roster.find("ann"), "morning")).reply == "echo: morning"
        assert driver.sessions[-1].seat.resume == "session-0"


@pytest.mark.parametrize("exit_", ["sleep", "crash", "close", "no start", "quit"])
async def test_whoever_watches_hears_that_a_session_is_gone_by_whatever_exit(
    kernel_with: Opened, plugins: dict[str, object], driver: FakeDriver, watcher: Watcher, exit_: str
) -> None:
    async with kernel_with(**plugins) as kernel:
        if exit_ == "no start":
            driver.opening = [Refused("not here")]
            with pytest.raises(Exception, match="not here"):
                await kernel.roster.spawn("fake", "ann")
        else:
            ann = await kernel.roster.spawn("fake", "ann")
            assert watcher.ended == []
            if exit_ == "sleep":
                await ann.sleep()
            elif exit_ == "crash":
                driver.sessions[0].die(gone())
                await trio.testing.wait_all_tasks_blocked()
            elif exit_ == "close":
                await kernel.roster.close(ann)
    assert watcher.ended == ["ann"]


async def test_closing_an_agent_ends_whoever_waits_for_its_sleep(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ann.sleep)
        while not ann.to_sleep:
            await trio.lowlevel.checkpoint()
        await kernel.roster.close(ann)
    assert (ann.state, driver.open_now) == ("closed", 0)
