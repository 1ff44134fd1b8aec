"""Things that happen at the same time, or at the edge: nothing is lost, told twice, or taken for something else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from fakedriver import FakeDriver, FakeSession, Plugin, echo, work

from aegis import open_kernel
from aegis.agent import Agent
from aegis.app import Kernel
from aegis.driver import Decision, PermissionRequest
from aegis.envelope import Receipt
from aegis.errors import AegisError, LaunchError, SessionGone
from aegis.events import Text, TurnEnded
from aegis.ledger import Record
from aegis.mailboxes import MAX_HOPS
from aegis.testing import clock
from aegis.testing.clock import TestClock
from aegis.testing.plugin import Opened

SAM = "human:sam"


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def plugins(driver: FakeDriver) -> dict[str, object]:
    return {"fake": Plugin(drivers=[driver])}


async def say(kernel: Kernel, agent: Agent, body: str, sender: str = SAM, **more: Any) -> Receipt:
    return await kernel.post.deliver(kernel.post.envelope(sender, agent.id, body, sender_id=sender, **more))


def news_for(kernel: Kernel, address: str) -> list[str]:
    """What the system wrote to this address and it has not read."""
    return [x.envelope.body for x in kernel.post.letters(address) if x.envelope.sender == "system"]


async def settled() -> None:
    """Wait until nothing moves, nor will for a moment, commits of the ledger's thread among it."""
    await clock.settled()
    await trio.testing.wait_all_tasks_blocked(0.05)
    await clock.settled()


async def test_a_message_that_went_as_far_as_it_may_can_still_be_a_dead_letter(
    kernel: Kernel, driver: FakeDriver
) -> None:
    driver.behave = work
    ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
    await say(kernel, bob, "work")
    await trio.testing.wait_all_tasks_blocked()
    far = await say(kernel, bob, "that far", sender=ann.id, hops=MAX_HOPS)
    await kernel.roster.close(bob, "enough")
    assert kernel.post.receipt(far.id).state == "dead"
    await settled()
    assert any(far.id in heard for heard in driver.sessions[0].heard)


async def test_a_session_that_is_gone_in_mid_turn_loses_no_mail(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    driver.sessions[0].die(LaunchError("it fell"))
    await settled()

    def forgotten(session: FakeSession, prompt: str) -> None:
        if session.seat.resume:
            return session.die(SessionGone("there is no such session"))
        return echo(session, prompt)

    driver.behave = forgotten
    receipt = await say(kernel, ann, "hello")
    with trio.fail_after(5):
        assert (await kernel.post.wait_turn(receipt.id)).reply == "echo: hello"
    assert [s.seat.resume for s in driver.sessions] == ["", "session-0", ""]


async def test_a_new_session_said_to_be_gone_is_a_failure_and_not_tried_for_ever(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    driver.sessions[0].die(LaunchError("it fell"))
    await settled()
    driver.behave = lambda session, prompt: session.die(SessionGone("it is always gone"))
    receipt = await say(kernel, ann, "hello")
    with trio.fail_after(60):
        assert (await kernel.post.wait_turn(receipt.id)).outcome == "failed"
    await settled()
    assert (ann.state, len(driver.sessions)) == ("failed", 6)


async def test_an_agent_revived_at_the_moment_it_fails_does_not_get_dead_letters(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    driver.behave = lambda session, prompt: session.die(LaunchError("it fell"))
    dead = await say(kernel, ann, "hello")
    while ann.state != "failed":
        await trio.lowlevel.checkpoint()
    driver.behave = echo
    kernel.roster.begin([ann])
    await settled()
    assert kernel.post.receipt(dead.id).state == "dead"
    assert len(driver.heard) == 3
    again = await say(kernel, ann, "again")
    assert (await kernel.post.wait_turn(again.id)).reply == "echo: again"
    await kernel.roster.close(ann)
    assert driver.open_now == 0


async def test_a_letter_stored_at_the_moment_the_others_become_dead_letters_is_told_of_once(
    kernel: Kernel, driver: FakeDriver
) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    await say(kernel, ann, "work")
    await settled()

    def dead(records: list[Record]) -> None:
        if records[0].kind == "accepted" and not ann.mailbox.closed:
            ann.mailbox.closed = "enough"
            kernel.base.start_soon(kernel.post.dead_letter, kernel.post.letters(ann.id)[1:], "enough")

    kernel.ledger.on_commit(dead)
    receipt = await say(kernel, ann, "late")
    assert (receipt.state, kernel.post.receipt(receipt.id).state) == ("dead", "dead")
    await settled()
    assert news_for(kernel, SAM) == [f"Your message {receipt.id} to ann: not delivered: enough"]


async def test_a_plugin_that_does_not_let_go_of_a_closed_agent_does_not_hold_up_the_end(
    kernel_with: Opened, driver: FakeDriver, autojump: TestClock
) -> None:
    class Mourner:
        name = "mourner"

        def __init__(self) -> None:
            self.heard = trio.Event()

        async def agent_closed(self, agent_id: str) -> None:
            self.heard.set()
            await trio.sleep_forever()

    mourner = Mourner()
    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[mourner])) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        kernel.base.start_soon(kernel.roster.close, ann)
        await mourner.heard.wait()
        leaving = trio.current_time()
    assert trio.current_time() - leaving < 2


async def test_an_interrupt_that_comes_late_spares_the_next_turn(kernel_with: Opened, driver: FakeDriver) -> None:
    class Slow:
        name = "slow"
        asked, go_on = trio.Event(), trio.Event()

        async def interrupted(self, agent_id: str) -> None:
            self.asked.set()
            await self.go_on.wait()

    slow = Slow()
    driver.behave = work
    async with (
        kernel_with(fake=Plugin(drivers=[driver], interceptors=[slow])) as kernel,
        trio.open_nursery() as nursery,
    ):
        ann = await kernel.roster.spawn("fake", "ann")
        first = await say(kernel, ann, "first")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ann.interrupt)
        await slow.asked.wait()
        driver.sessions[0].end()
        await kernel.post.wait_turn(first.id)
        second = await say(kernel, ann, "second")
        await settled()
        slow.go_on.set()
        await settled()
        assert driver.sessions[0].interrupts == 0
        driver.sessions[0].end()
        assert (await kernel.post.wait_turn(second.id)).outcome == "completed"


async def test_what_the_cli_says_before_it_has_the_prompt_is_not_the_turn(
    kernel_with: Opened, driver: FakeDriver
) -> None:
    class Thinks:
        name = "thinks"
        asked, go_on = trio.Event(), trio.Event()

        async def before_turn(self, turn: Any) -> None:
            self.asked.set()
            await self.go_on.wait()

    thinks = Thinks()
    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[thinks])) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        receipt = await say(kernel, ann, "hello")
        await thinks.asked.wait()
        driver.sessions[0].say(Text("the build is done"), TurnEnded("completed"))
        await settled()
        thinks.go_on.set()
        assert (await kernel.post.wait_turn(receipt.id)).reply == "echo: hello"


async def test_an_interceptor_of_no_order_is_named_and_the_others_are_asked(
    kernel_with: Opened, driver: FakeDriver
) -> None:
    class Odd:
        name, order = "odd", "first"

        async def agent_started(self, agent_id: str) -> None: ...

    class Counts:
        name = "counts"

        def __init__(self) -> None:
            self.seen: list[str] = []

        async def agent_started(self, agent_id: str) -> None:
            self.seen.append(agent_id)

    before, after = Counts(), Counts()
    fake, odd = Plugin(drivers=[driver], interceptors=[before]), Plugin(interceptors=[Odd()])
    async with kernel_with(a=fake, b=odd, c=Plugin(interceptors=[after])) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        assert (before.seen, after.seen) == ([ann.id], [ann.id])
        assert {f.name for f in kernel.plugins.report() if f.error} == {"b"}


async def test_a_kernel_that_ends_by_an_error_says_why_the_turn_was_cut_off(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object]
) -> None:
    driver.behave = work
    with suppress(AegisError):
        async with kernel_with(**plugins) as kernel:
            ann = await kernel.roster.spawn("fake", "ann")
            receipt = await say(kernel, ann, "work")
            await settled()
            raise AegisError("the house is on fire")
    async with kernel_with(**plugins) as kernel:
        assert news_for(kernel, SAM) == [
            f"Your message {receipt.id} to ann: turn interrupted: aegis stopped while this turn ran"
        ]


async def test_started_clean_a_turn_cut_off_is_told_once(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object], project: Path, tmp_path: Path
) -> None:
    driver.behave = work
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        receipt = await say(kernel, ann, "work")
        await settled()
        left = tmp_path / "as-it-was-then"
        left.joinpath(".aegis", "state").mkdir(parents=True)
        for file in kernel.project.state.glob("ledger.db*"):
            left.joinpath(".aegis", "state", file.name).write_bytes(file.read_bytes())
    async with open_kernel(left, plugins=plugins, environment={}, clean=True) as kernel:
        assert kernel.roster.live() == set()
        assert [kernel.post.receipt(receipt.id).outcome, len(news_for(kernel, SAM))] == ["interrupted", 1]


async def test_two_requests_for_leave_under_one_id_are_both_answered(kernel_with: Opened, driver: FakeDriver) -> None:
    class Asked:
        name = "asked"
        go_on = trio.Event()

        async def permission(self, seat: Any, request: Any) -> Decision:
            await self.go_on.wait()
            return Decision("allowed")

    asked, answers = Asked(), list[Decision]()
    async with kernel_with(fake=Plugin(drivers=[driver], interceptors=[asked])) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")

        async def ask() -> None:
            assert ann.seat
            answers.append(await ann.seat.ask(PermissionRequest("1", "Bash")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            asked.go_on.set()
    assert [a.outcome for a in answers] == ["allowed", "allowed"]
