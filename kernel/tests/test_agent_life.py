"""An agent's life with every fault a CLI can have: an honest state, nothing lost, and the others go on."""

from __future__ import annotations

import resource

import msgspec
import pytest
import trio
from fakedriver import FakeDriver, FakeSession, Plugin, echo, work

from aegis.agent import Agent
from aegis.app import Kernel
from aegis.envelope import Receipt
from aegis.errors import LaunchError, LedgerError, NotFound, Refused
from aegis.events import AgentChanged, Event, Notice, SessionStarted, Text, TurnEnded
from aegis.testing.clock import TestClock
from aegis.testing.plugin import Opened

SAM = "human:sam"


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def plugins(driver: FakeDriver) -> dict[str, object]:
    return {"fake": Plugin(drivers=[driver])}


async def say(kernel: Kernel, agent: Agent, body: str, sender: str = SAM, **more: object) -> Receipt:
    return await kernel.post.deliver(kernel.post.envelope(sender, agent.id, body, sender_id=sender, **more))


async def ask(kernel: Kernel, agent: Agent, body: str) -> TurnEnded:
    return await kernel.post.wait_turn((await say(kernel, agent, body)).id)


def news_for(kernel: Kernel, address: str) -> list[str]:
    """What the system wrote to this address and it has not read."""
    return [x.envelope.body for x in kernel.post.letters(address) if x.envelope.sender == "system"]


def gone(words: str = "exited with code 1") -> LaunchError:
    return LaunchError(f"fake (pid 7) {words}")


# -- a good life ----------------------------------------------------------------------------------------------------


async def test_that_a_cli_took_its_mail_is_on_disk_before_anything_later_is_answered(
    kernel: Kernel, driver: FakeDriver
) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    with kernel.bus.subscribe(only=(Text,)) as news:
        before = kernel.ledger.counts.copy()
        receipt = await say(kernel, ann, "hello")
        await anext(news)
    assert (kernel.ledger.counts - before).appends == 1, "nobody waits for this record"
    await kernel.ledger.book("other").append("asked", "by the turn")
    last = [(r.kind, r.key) for r in kernel.ledger.select("true order by seq desc limit 2")]
    assert last == [("asked", "by the turn"), ("injected", receipt.id)]


async def test_a_message_to_an_idle_agent_is_a_turn_with_a_header(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    receipt = await say(kernel, ann, "hello")
    assert (receipt.state, receipt.position, str(receipt)) == ("accepted", 0, "landed at ann")
    ended = await kernel.post.wait_turn(receipt.id)
    assert (ended.outcome, ended.reply) == ("completed", "echo: hello")
    assert driver.heard == [f"> from human:sam · 2026-01-05T10:00:00Z\n> id {receipt.id}\n  hello"]
    assert kernel.post.receipt(receipt.id).state == "ended"


async def test_a_persons_lone_command_goes_to_the_cli_as_typed(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    await ask(kernel, ann, "/compact")
    assert driver.heard == ["/compact"]


async def test_mail_during_a_turn_is_the_next_turn_whole_and_in_order(kernel: Kernel, driver: FakeDriver) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    await say(kernel, ann, "first")
    await trio.testing.wait_all_tasks_blocked()
    positions = [(await say(kernel, ann, word)).position for word in ("one", "two", "three")]
    assert positions == [1, 2, 3]
    last = await say(kernel, ann, "four")
    assert str(last) == "queued for ann (position 4)"
    driver.behave = echo
    driver.sessions[0].end()
    await kernel.post.wait_turn(last.id)
    assert len(driver.heard) == 2
    read = driver.heard[1].split("\n\n")
    assert [part.splitlines()[-1].strip() for part in read] == ["one", "two", "three", "four"]
    assert all(part.startswith("> from human:sam · ") for part in read)
    assert ann.turns == 2


async def test_urgent_mail_interrupts_and_comes_next(kernel: Kernel, driver: FakeDriver) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    first = await say(kernel, ann, "long work")
    await trio.testing.wait_all_tasks_blocked()
    driver.behave = echo
    urgent = await say(kernel, ann, "stop that", urgency="interrupt")
    assert (await kernel.post.wait_turn(first.id)).outcome == "cancelled"
    assert (await kernel.post.wait_turn(urgent.id)).reply == "echo: stop that"


async def test_the_reply_is_the_final_message_whole(kernel: Kernel, driver: FakeDriver) -> None:
    driver.behave = lambda s, p: s.say(
        Text("I will look.", "m1"), Text("sub-agent", "m2", parent="t1"), Text("It is ", "m3"), Text("done.", "m3"),
        TurnEnded("completed", cost_usd=0.25),
    )  # fmt: skip
    ann = await kernel.roster.spawn("fake", "ann")
    assert (await ask(kernel, ann, "go")).reply == "It is done."
    assert ann.snapshot()["cost_usd"] == 0.25


async def test_a_second_end_of_the_same_turn_changes_nothing(kernel: Kernel, driver: FakeDriver) -> None:
    driver.behave = lambda s, p: s.say(Text("a"), TurnEnded("completed"), TurnEnded("failed"))
    ann = await kernel.roster.spawn("fake", "ann")
    receipt = await say(kernel, ann, "go")
    assert (await kernel.post.wait_turn(receipt.id)).outcome == "completed"
    driver.sessions[0].end("failed")
    await trio.testing.wait_all_tasks_blocked()
    driver.behave = echo
    assert (await ask(kernel, ann, "again")).outcome == "completed"
    ends = [r for r in kernel.ledger.book("mail").find(receipt.id) if r.kind == "ended"]
    assert len(ends) == 1


async def test_hops_end_a_ping_pong(kernel: Kernel) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    await say(kernel, ann, "x", hops=64)
    with pytest.raises(Refused, match="went through 65 agents since a person last spoke"):
        await say(kernel, ann, "x", hops=65)


async def test_one_envelope_delivered_twice_is_one_message(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    envelope = kernel.post.envelope(SAM, ann.id, "once")
    await kernel.post.deliver(envelope)
    await kernel.post.wait_turn(envelope.id)
    assert (await kernel.post.deliver(envelope)).state == "ended"
    await trio.testing.wait_all_tasks_blocked()
    assert len(driver.heard) == 1


async def test_one_envelope_delivered_by_two_at_once_is_one_message(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    envelope = kernel.post.envelope(SAM, ann.id, "once")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kernel.post.deliver, envelope)
        nursery.start_soon(kernel.post.deliver, envelope)
    await kernel.post.wait_turn(envelope.id)
    await trio.testing.wait_all_tasks_blocked()
    assert len(driver.heard) == 1
    assert driver.heard[0].count("> id ") == 1


# -- faults of the CLI ----------------------------------------------------------------------------------------------


async def test_a_cli_that_does_not_start_is_a_refused_spawn_and_leaves_nothing(
    kernel: Kernel, driver: FakeDriver
) -> None:
    driver.opening = [gone("exited with code 2; it said: no key")]
    with pytest.raises(LaunchError, match=r"no 'fake' agent was started: .*no key"):
        await kernel.roster.spawn("fake", "ann")
    assert kernel.roster.live() == set()
    driver.opening = []
    await kernel.roster.spawn("fake", "ann")


async def test_a_driver_that_raises_nonsense_is_named(kernel: Kernel, driver: FakeDriver) -> None:
    driver.opening = [ZeroDivisionError("oops")]
    with pytest.raises(LaunchError, match="the driver 'fake' failed: ZeroDivisionError"):
        await kernel.roster.spawn("fake", "ann")
    assert (await ask(kernel, await kernel.roster.spawn("fake", "bob"), "x")).outcome == "completed"


async def test_death_before_a_sign_of_life_delivers_again_with_the_same_id(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    driver.behave = lambda s, p: (s.die(gone()), setattr(driver, "behave", echo))
    receipt = await say(kernel, ann, "hello")
    assert (await kernel.post.wait_turn(receipt.id)).reply == "echo: hello"
    assert len(driver.sessions) == 2
    assert [f"> id {receipt.id}" in heard for heard in driver.heard] == [True, True]
    assert news_for(kernel, SAM) == []


async def test_death_in_mid_turn_ends_the_turn_and_the_next_message_starts_it_again(
    kernel: Kernel, driver: FakeDriver
) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    first = await say(kernel, ann, "work")
    await trio.testing.wait_all_tasks_blocked()
    driver.sessions[0].die(gone("was ended by SIGSEGV; it said: boom"))
    ended = await kernel.post.wait_turn(first.id)
    assert ended.outcome == "failed"
    assert "SIGSEGV; it said: boom" in ended.reason
    assert any(first.id in news and "boom" in news for news in news_for(kernel, SAM))
    await trio.testing.wait_all_tasks_blocked()
    assert (ann.state, driver.open_now) == ("stopped", 0)
    driver.behave = echo
    assert (await ask(kernel, ann, "again")).outcome == "completed"
    assert driver.sessions[1].seat.resume == driver.sessions[0].session_id


async def test_death_between_turns_is_shown_and_the_next_message_starts_it_again(
    kernel: Kernel, driver: FakeDriver
) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    with kernel.bus.subscribe() as news:
        driver.sessions[0].die(gone())
        await trio.testing.wait_all_tasks_blocked()
        said = [e for batch in await anext(news) for e in batch.events if isinstance(e, Notice)]
        assert "exited with code 1; the next message starts it again" in said[0].text
    assert ann.state == "stopped"
    assert (await ask(kernel, ann, "hello")).reply == "echo: hello"
    assert len(driver.sessions) == 2


async def test_three_failed_openings_are_a_failed_agent_that_can_be_revived(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    driver.sessions[0].die(gone())
    await trio.testing.wait_all_tasks_blocked()
    driver.opening = [gone("exited with code 9") for _ in range(3)]
    receipt = await say(kernel, ann, "hello")
    ended = await kernel.post.wait_turn(receipt.id)
    assert ended.outcome == "failed"
    assert "dead letter" in ended.reason
    assert (ann.state, driver.opening) == ("failed", [])
    assert any("not delivered" in news and receipt.id in news for news in news_for(kernel, SAM))
    with pytest.raises(Refused, match=r"ann takes no mail: it has failed: .*exited with code 9"):
        await say(kernel, ann, "again")
    kernel.roster.begin([ann])
    assert (await ask(kernel, ann, "and now")).reply == "echo: and now"
    assert [heard.splitlines()[-1].strip() for heard in driver.heard] == ["and now"], "a dead letter was delivered"


async def test_the_last_try_begins_a_new_session(kernel: Kernel, driver: FakeDriver, autojump: TestClock) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    await ask(kernel, ann, "one")
    driver.sessions[0].die(gone())
    await trio.testing.wait_all_tasks_blocked()
    driver.opening = [gone("does not know session-0")] * 2
    assert (await ask(kernel, ann, "two")).outcome == "completed"
    assert driver.sessions[1].seat.resume == ""


async def test_a_turn_that_never_ends_is_interrupted_at_its_limit(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    driver.behave = work
    ann = await kernel.roster.spawn("fake", "ann")
    ended = await ask(kernel, ann, "for ever")
    assert ended.outcome == "failed"
    assert "passed its limit of 3600 s" in ended.reason
    assert driver.sessions[0].interrupts == 1
    driver.behave = echo
    assert (await ask(kernel, ann, "next")).outcome == "completed"
    assert len(driver.sessions) == 1


async def test_a_cli_that_shows_no_sign_of_life_is_ended_at_its_limit(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    driver.behave = lambda s, p: None
    driver.obey = lambda s: None
    ann = await kernel.roster.spawn("fake", "ann")
    ended = await ask(kernel, ann, "anyone there?")
    assert ended.outcome == "failed"
    assert "did not obey an interrupt within 10 s" in ended.reason
    driver.behave = echo
    assert (await ask(kernel, ann, "next")).outcome == "completed"


async def test_a_cli_that_ignores_an_interrupt_is_ended(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock
) -> None:
    driver.behave, driver.obey = work, lambda s: None
    ann = await kernel.roster.spawn("fake", "ann")
    receipt = await say(kernel, ann, "work")
    await trio.testing.wait_all_tasks_blocked()
    assert await ann.interrupt()
    ended = await kernel.post.wait_turn(receipt.id)
    assert (ended.outcome, "did not obey" in ended.reason) == ("failed", True)
    driver.behave = echo
    assert (await ask(kernel, ann, "next")).outcome == "completed"
    assert len(driver.sessions) == 2


@pytest.mark.parametrize("error", [LaunchError("its input is closed"), ZeroDivisionError("oops")])
async def test_a_driver_that_cannot_interrupt_costs_the_turn_and_nothing_else(
    kernel: Kernel, driver: FakeDriver, autojump: TestClock, error: Exception
) -> None:
    def refuse(session: FakeSession) -> None:
        raise error

    driver.behave, driver.obey = work, refuse
    ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
    first = await say(kernel, ann, "work")
    await trio.testing.wait_all_tasks_blocked()
    driver.behave = echo
    urgent = await say(kernel, ann, "stop", urgency="interrupt")
    assert (await kernel.post.wait_turn(first.id)).outcome == "failed"
    assert (await kernel.post.wait_turn(urgent.id)).outcome == "completed"
    assert (await ask(kernel, bob, "still there?")).outcome == "completed"


async def test_an_interrupt_of_an_idle_agent_is_nothing(kernel: Kernel, driver: FakeDriver) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    assert not await ann.interrupt()
    assert driver.sessions[0].interrupts == 0


async def test_a_prompt_the_driver_refuses_ends_as_refused(kernel: Kernel, driver: FakeDriver) -> None:
    def refuse(session: FakeSession, prompt: str) -> None:
        raise Refused("prompts longer than 5 letters are not taken")

    driver.behave = refuse
    ann = await kernel.roster.spawn("fake", "ann")
    ended = await ask(kernel, ann, "hello")
    assert (ended.outcome, ended.reason) == ("refused", "prompts longer than 5 letters are not taken")
    assert any("not taken" in news for news in news_for(kernel, SAM))


async def test_one_agents_fault_leaves_its_siblings_alone(kernel: Kernel, driver: FakeDriver) -> None:
    ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
    driver.behave = work
    working = await say(kernel, bob, "work")
    await trio.testing.wait_all_tasks_blocked()
    driver.sessions[0].die(ExceptionGroup("driver", [ValueError("x"), gone()]))
    await trio.testing.wait_all_tasks_blocked()
    assert (ann.state, bob.state) == ("stopped", "working")
    driver.sessions[1].end()
    assert (await kernel.post.wait_turn(working.id)).outcome == "completed"


# -- roster ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handle", ["", "Ann", "a b", "a_b", "-a", "a-", "a--b", "a-b-c-d", "1a", "é", "a" * 41, "a\n"])
async def test_what_is_not_a_handle_is_refused(kernel: Kernel, handle: str) -> None:
    with pytest.raises(Refused, match="is not a handle"):
        await kernel.roster.spawn("fake", handle)
    assert not kernel.roster.live()


@pytest.mark.parametrize("handle", ["human", "human-root", "humans", "system", "aegis", "operator", "root", "you-now"])
async def test_what_reads_as_a_person_or_as_aegis_is_refused(kernel: Kernel, handle: str) -> None:
    with pytest.raises(Refused, match="reads as a person or as aegis itself"):
        await kernel.roster.spawn("fake", handle)
    ann = await kernel.roster.spawn("fake", "ann")
    with pytest.raises(Refused, match="reads as a person or as aegis itself"):
        await kernel.roster.rename(ann, handle)
    await kernel.roster.spawn("fake", "rooted")


async def test_a_handle_that_is_taken_is_refused_naming_the_living(kernel: Kernel) -> None:
    await kernel.roster.spawn("fake", "ann")
    await kernel.roster.spawn("fake", "bob")
    with pytest.raises(Refused, match=r"'ann' is taken \(live: ann, bob\)"):
        await kernel.roster.spawn("fake", "ann")


async def test_on_a_full_disk_a_spawn_and_a_rename_change_nothing(kernel: Kernel) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limit[1]))
    try:
        with pytest.raises(LedgerError, match="did not store"):
            await kernel.roster.spawn("fake", "bob")
        with pytest.raises(LedgerError, match="did not store"):
            await kernel.roster.rename(ann, "cat")
        with pytest.raises(LedgerError, match="did not store"):
            await say(kernel, ann, "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert kernel.roster.live() == {"ann"}
    await kernel.roster.rename(ann, "cat")
    assert (await ask(kernel, await kernel.roster.spawn("fake", "bob"), "x")).outcome == "completed"


async def test_two_spawns_of_one_handle_at_once_give_one_agent(kernel: Kernel) -> None:
    outcomes: list[str] = []

    async def one() -> None:
        try:
            outcomes.append((await kernel.roster.spawn("fake", "ann")).handle)
        except Refused:
            outcomes.append("refused")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        nursery.start_soon(one)
    assert sorted(outcomes) == ["ann", "refused"]


async def test_two_renames_to_one_handle_at_once_give_one_owner(kernel: Kernel) -> None:
    agents = [await kernel.roster.spawn("fake", name) for name in ("ann", "bob")]
    outcomes: list[str] = []

    async def one(agent: Agent) -> None:
        try:
            await kernel.roster.rename(agent, "cat")
            outcomes.append("renamed")
        except Refused:
            outcomes.append("refused")

    async with trio.open_nursery() as nursery:
        for agent in agents:
            nursery.start_soon(one, agent)
    assert sorted(outcomes) == ["refused", "renamed"]
    assert len(kernel.roster.live()) == 2


async def test_an_unknown_handle_or_profile_names_what_there_is(kernel: Kernel) -> None:
    await kernel.roster.spawn("fake", "lucid-knuth")
    with pytest.raises(NotFound, match=r"no agent 'lucid-nuth' is alive \(live: lucid-knuth\). Did you mean"):
        kernel.roster.find("lucid-nuth")
    with pytest.raises(NotFound, match=r"there is no profile 'fak' .*Did you mean 'fake'"):
        await kernel.roster.spawn("fak", "bob")


async def test_a_renamed_agent_is_found_by_both_names_also_after_a_restart(
    kernel_with: Opened, plugins: dict[str, object]
) -> None:
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        await kernel.roster.rename(ann, "lucid-knuth")
        await kernel.roster.rename(ann, "ada")
        assert kernel.roster.live() == {"ada"}
        assert {kernel.roster.find(h).id for h in ("ann", "agent:lucid-knuth", "ada")} == {ann.id}
    async with kernel_with(**plugins) as kernel:
        assert {kernel.roster.find(h).id for h in ("ann", "lucid-knuth", "ada")} == {ann.id}
        new = await kernel.roster.spawn("fake", "ann")
        assert kernel.roster.find("ann") is new
    async with kernel_with(**plugins) as kernel:
        assert kernel.roster.find("ann").id == new.id
        assert kernel.roster.find("ada").id == ann.id


async def test_closing_makes_dead_letters_of_what_waits_and_tells_the_senders_but_not_itself(
    kernel: Kernel, driver: FakeDriver
) -> None:
    driver.behave = work
    ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
    flying = await say(kernel, bob, "now", sender=ann.id)
    await trio.testing.wait_all_tasks_blocked()
    waiting = await say(kernel, bob, "later", sender=ann.id)
    await kernel.roster.close(bob, "its work is done")
    assert driver.open_now == 1
    assert kernel.post.receipt(flying.id).outcome == "interrupted"
    assert (kernel.post.receipt(waiting.id).state, kernel.post.receipt(waiting.id).reason) == (
        "dead",
        "its work is done",
    )
    await trio.testing.wait_all_tasks_blocked()
    told = "\n".join(driver.heard[-1:] + news_for(kernel, ann.id))
    assert flying.id in told
    assert waiting.id in told
    with pytest.raises(NotFound, match="no agent 'bob' is alive"):
        kernel.roster.find("bob")
    with pytest.raises(Refused, match="takes no mail"):
        await say(kernel, bob, "too late")
    await kernel.roster.close(bob)


async def test_a_spawn_that_is_cancelled_leaves_nothing(kernel: Kernel, driver: FakeDriver) -> None:
    with trio.move_on_after(0):
        await kernel.roster.spawn("fake", "ann")
    assert not kernel.roster.live()
    assert driver.open_now == 0


# -- restart --------------------------------------------------------------------------------------------------------


async def test_after_a_restart_agents_come_back_with_their_session_and_their_mail(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object]
) -> None:
    async with kernel_with(**plugins) as kernel:
        ann, bob = await kernel.roster.spawn("fake", "ann"), await kernel.roster.spawn("fake", "bob")
        await ask(kernel, ann, "remember this")
        driver.behave = work
        flying = await say(kernel, bob, "long work", sender=ann.id)
        await trio.testing.wait_all_tasks_blocked()
        waiting = await say(kernel, bob, "after that")
        driver.behave = echo
    assert driver.open_now == 0
    async with kernel_with(**plugins) as kernel:
        assert (await kernel.post.wait_turn(waiting.id)).reply == "echo: after that"
        assert kernel.post.receipt(flying.id).outcome == "interrupted"
        back = driver.sessions[2:]
        assert {s.seat.handle: s.seat.resume for s in back}["bob"] == "session-1"
        await ask(kernel, kernel.roster.find("ann"), "go on")
        assert {s.seat.handle: s.seat.resume for s in driver.sessions[2:]}["ann"] == "session-0"
        await trio.testing.wait_all_tasks_blocked()
        assert any(flying.id in heard and "interrupted" in heard for heard in driver.heard)


async def test_after_a_restart_agents_without_mail_start_nothing(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object]
) -> None:
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("fake", "ann")
    async with kernel_with(**plugins) as kernel:
        await trio.testing.wait_all_tasks_blocked()
        assert kernel.roster.find("ann").state == "stopped"
        assert len(driver.sessions) == 1


async def test_an_agent_whose_driver_is_gone_keeps_its_mail_until_it_is_back(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object]
) -> None:
    driver.behave = work
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        await say(kernel, ann, "work")
        await trio.testing.wait_all_tasks_blocked()
        waiting = await say(kernel, ann, "keep this")
    async with kernel_with() as kernel:
        assert any("agent:ann" in f.source and "no profile 'fake'" in f.error for f in kernel.faults)
        assert kernel.post.receipt(waiting.id).state == "accepted"
        with pytest.raises(NotFound):
            kernel.roster.find("ann")
    driver.behave = echo
    async with kernel_with(**plugins) as kernel:
        assert (await kernel.post.wait_turn(waiting.id)).reply == "echo: keep this"


async def test_started_clean_the_agents_of_the_last_time_are_closed(
    kernel_with: Opened, project: object, plugins: dict[str, object]
) -> None:
    from aegis.app import open_kernel  # noqa: PLC0415 - beside the fixture that knows no `clean`

    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("fake", "ann")
    async with open_kernel(project, plugins=plugins, environment={}, clean=True) as kernel:  # type: ignore[arg-type]
        assert kernel.roster.live() == set()


async def test_a_session_named_late_or_anew_is_remembered(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object]
) -> None:
    driver.behave = lambda s, p: s.say(SessionStarted("late-name"), Text("x"), TurnEnded("completed"))
    async with kernel_with(**plugins) as kernel:
        await ask(kernel, await kernel.roster.spawn("fake", "ann"), "x")
    async with kernel_with(**plugins) as kernel:
        await ask(kernel, kernel.roster.find("ann"), "x")
        assert driver.sessions[1].seat.resume == "late-name"


# -- leaving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["idle", "working", "mute", "stopped", "failed", "waiting"])
async def test_leaving_takes_no_time_in_any_state(
    kernel_with: Opened, driver: FakeDriver, plugins: dict[str, object], state: str
) -> None:
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        if state == "working":
            driver.behave = work
        elif state == "mute":
            driver.behave = lambda s, p: None
        elif state in ("stopped", "failed"):
            driver.sessions[0].die(gone() if state == "stopped" else Refused("no more of this"))
        if state in ("working", "mute", "waiting"):
            await say(kernel, ann, "x")
        if state != "waiting":
            await trio.testing.wait_all_tasks_blocked()
        started = trio.current_time()
    assert trio.current_time() - started < 1
    assert driver.open_now == 0


async def test_every_change_of_state_is_shown(kernel: Kernel, driver: FakeDriver) -> None:
    with kernel.bus.subscribe() as news:
        ann = await kernel.roster.spawn("fake", "ann")
        await ask(kernel, ann, "x")
        await trio.testing.wait_all_tasks_blocked()
        await kernel.roster.close(ann)
        events: list[Event] = [e for batch in await anext(news) for e in batch.events]
    faces = [e.agent["state"] for e in events if isinstance(e, AgentChanged)]
    assert [s for n, s in enumerate(faces) if not n or faces[n - 1] != s] == [
        "starting",
        "idle",
        "working",
        "idle",
        "closed",
    ]
    assert msgspec.json.encode(events)
