"""A mailbox has room for so many letters and bytes, a turn for so many bytes; what is owed is never lost to that."""

from __future__ import annotations

import pytest
import trio
from fakedriver import FakeDriver, Plugin, echo, work

from aegis.agent import Agent
from aegis.app import Kernel
from aegis.envelope import Envelope, Receipt
from aegis.errors import Refused
from aegis.events import Text
from aegis.mailbox import Caps, Letter, Mailbox, size_of
from aegis.testing.plugin import Opened
from aegis.turn import MOST, Reply

SAM = "human:sam"
BOB = "agent:bob"


@pytest.fixture
def driver() -> FakeDriver:
    made = FakeDriver()
    made.behave = work  # a turn goes on until the test ends it
    return made


@pytest.fixture
def plugins(driver: FakeDriver) -> dict[str, object]:
    return {"fake": Plugin(drivers=[driver])}


def limited(kernel: Kernel, **caps: int) -> None:
    kernel.post.caps.add("mail", lambda: Caps(**caps))


async def say(kernel: Kernel, to: str, body: str, sender: str = BOB, short: str = "", **more: object) -> Receipt:
    return await kernel.post.deliver(kernel.post.envelope(sender, to, body, **more), short=short)


async def busy(kernel: Kernel) -> Agent:
    """Return an agent in a turn that does not end by itself."""
    ann = await kernel.roster.spawn("fake", "ann")
    await say(kernel, ann.id, "begin", SAM)
    await trio.testing.wait_all_tasks_blocked()
    return ann


async def test_the_letter_after_the_last_is_refused_with_the_settings_name(kernel: Kernel) -> None:
    limited(kernel, letters=3)
    ann = await busy(kernel)
    for n in range(2):
        await say(kernel, ann.id, str(n))
    with pytest.raises(Refused, match=r"the mailbox of ann is full: it has 3 messages \(limits.mailbox_letters is 3\)"):
        await say(kernel, ann.id, "one more")
    assert [x.envelope.body for x in ann.mailbox.waiting] == ["0", "1"]
    assert [e.body for e, _ in await kernel.post.newest(10)] == ["1", "0", "begin"], "nothing of it is on disk"


async def test_letters_are_counted_in_bytes_too_not_in_characters(kernel: Kernel) -> None:
    limited(kernel, size=10_000)
    ann = await busy(kernel)
    for _ in range(2):
        await say(kernel, ann.id, "é" * 2_000)
    with pytest.raises(Refused, match=r"bytes \(limits.mailbox_bytes is 10,000\)"):
        await say(kernel, ann.id, "é" * 2_000)
    assert len(ann.mailbox.waiting) == 2


async def test_of_many_at_once_none_takes_the_room_of_another(kernel: Kernel) -> None:
    limited(kernel, letters=10)
    ann = await busy(kernel)
    refused: list[str] = []

    async def one() -> None:
        try:
            await say(kernel, ann.id, "x")
        except Refused as refusal:
            refused.append(str(refusal))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert (len(ann.mailbox.waiting), len(refused)) == (9, 41)


async def test_room_comes_back_when_the_turn_is_over(kernel: Kernel, driver: FakeDriver) -> None:
    limited(kernel, letters=2)
    ann = await busy(kernel)
    last = await say(kernel, ann.id, "second")
    driver.behave = echo
    driver.sessions[0].end()
    await kernel.post.wait_turn(last.id)
    await trio.testing.wait_all_tasks_blocked()
    assert (ann.mailbox.letters, ann.mailbox.size) == (0, 0)
    await say(kernel, ann.id, "third")


async def test_a_person_gets_through_when_agents_have_filled_a_mailbox(kernel: Kernel) -> None:
    limited(kernel, letters=2)
    ann = await busy(kernel)
    await say(kernel, ann.id, "x")
    with pytest.raises(Refused):
        await say(kernel, ann.id, "y")
    await say(kernel, ann.id, "stop that", SAM)
    await say(kernel, ann.id, "and this", SAM)
    with pytest.raises(Refused, match="mailbox_letters"):
        await say(kernel, ann.id, "and a person has a limit, too", SAM)


async def test_a_letter_larger_than_a_turn_is_refused_whoever_sends_it(kernel: Kernel) -> None:
    limited(kernel, turn=1_000)
    ann = await busy(kernel)
    for sender in (SAM, BOB):
        with pytest.raises(Refused, match=r"one turn reads 1,000 \(limits.turn_bytes\); put it into a file"):
            await say(kernel, ann.id, "x" * 1_000, sender)
    with pytest.raises(Refused, match="turn_bytes"):
        await say(kernel, ann.id, "x\n" * 400)  # every line of it is moved in


async def test_a_turn_reads_as_much_as_fits_and_is_told_how_many_more_wait(kernel: Kernel, driver: FakeDriver) -> None:
    limited(kernel, turn=2_000)
    ann = await busy(kernel)
    sent = [await say(kernel, ann.id, str(n) * 700) for n in range(6)]
    driver.behave = echo
    driver.sessions[0].end()
    await kernel.post.wait_turn(sent[-1].id)
    first, *rest = driver.heard[1:]
    assert all(len(prompt.encode()) <= 2_100 for prompt in driver.heard)
    assert ["0" * 700 in first, "1" * 700 in first, "2" * 700 in first] == [True, True, False]
    assert first.endswith("\n\n> 4 more messages wait for your next turn")
    assert "more" not in rest[-1] and len(rest) == 2


async def test_what_is_urgent_and_what_people_wrote_is_read_first(kernel: Kernel, driver: FakeDriver) -> None:
    limited(kernel, turn=1_000)
    ann = await busy(kernel)
    for n in range(5):
        await say(kernel, ann.id, str(n) * 600)
    told = await say(kernel, ann.id, "come home", SAM)
    driver.behave = echo
    driver.sessions[0].end()
    await kernel.post.wait_turn(told.id)
    assert "come home" in driver.heard[1] and "0" * 600 in driver.heard[1]


def test_a_letter_from_before_the_limit_is_taken_alone() -> None:
    box = Mailbox("ann")
    for n in range(3):
        envelope = Envelope(str(n), BOB, "ann", "now", "x" * 500)
        box.put(Letter(envelope, size=size_of(envelope)))
    assert [x.envelope.id for x in box.take(100)] == ["0"]
    assert [x.envelope.id for x in box.take()] == ["1", "2"]


async def test_what_is_owed_comes_in_its_short_form_when_there_is_no_room(kernel: Kernel) -> None:
    limited(kernel, letters=1, turn=1_000)
    ann = await busy(kernel)
    receipt = await say(kernel, ann.id, "the whole result", "queue:q", short="it ended; look at task 1")
    assert [x.envelope.body for x in ann.mailbox.waiting] == ["it ended; look at task 1"]
    assert kernel.post.find(receipt.id)[0].body == "it ended; look at task 1"
    await say(kernel, ann.id, "y" * 2_000, "queue:q", short="look at task 2")
    assert len(ann.mailbox.waiting) == 2


async def test_the_news_of_a_dead_letter_comes_though_the_mailbox_is_full(kernel: Kernel) -> None:
    ann, bob = await busy(kernel), await kernel.roster.spawn("fake", "bob")
    await say(kernel, bob.id, "work", SAM)
    await trio.testing.wait_all_tasks_blocked()
    lost = await say(kernel, bob.id, "for bob", sender_id=ann.id)
    limited(kernel, letters=1)
    await kernel.roster.close(bob)
    assert [x.envelope.in_reply_to for x in ann.mailbox.waiting] == [lost.id]


async def test_news_for_those_whom_nobody_carries_mail_to_do_not_pile_up(kernel: Kernel) -> None:
    limited(kernel, letters=5)
    for _ in range(20):
        ann = await kernel.roster.spawn("fake", "ann")
        await say(kernel, ann.id, "begin", SAM)
        await trio.testing.wait_all_tasks_blocked()
        await say(kernel, ann.id, "x", "schedule:nightly", sender_id="schedule:nightly")
        await kernel.roster.close(ann)
    assert len(kernel.post.letters("schedule:nightly")) == 5


async def test_what_is_in_a_carriers_hands_counts(kernel_with: Opened, plugins: dict[str, object]) -> None:
    async with kernel_with(**plugins) as kernel:
        limited(kernel, letters=3)
        outbox = kernel.post.carry("post")
        for n in range(3):
            await say(kernel, f"post:{n}@mars", "x")
        taken = await outbox.take()
        with pytest.raises(Refused, match="mailbox_letters"):
            await say(kernel, "post:other@mars", "x")
        await outbox.delivered(taken[0])
        await say(kernel, "post:other@mars", "x")


async def test_counts_are_right_after_a_restart(kernel_with: Opened, plugins: dict[str, object]) -> None:
    async with kernel_with(**plugins) as kernel:
        for n in range(3):
            await say(kernel, SAM, str(n))
    async with kernel_with(**plugins) as kernel:
        limited(kernel, letters=4)
        await say(kernel, SAM, "fourth")
        with pytest.raises(Refused, match="mailbox of human:sam is full"):
            await say(kernel, SAM, "fifth")
        await kernel.post.read(kernel.post.letters(SAM))
        box = kernel.post.mailbox(SAM)
        assert (box.letters, box.size) == (0, 0)


async def test_a_400_mb_mailbox_cannot_be_made(kernel: Kernel) -> None:
    ann, text = await busy(kernel), "z" * 199_000
    refused = 0
    for _ in range(400):
        try:
            await say(kernel, ann.id, text)
        except Refused:
            refused += 1
    assert ann.mailbox.size <= Caps().size
    assert refused == 380
    with pytest.raises(Refused, match="turn_bytes"):
        await say(kernel, ann.id, "z" * 999_000)


async def test_limits_belong_to_the_plugin_that_sets_them(kernel: Kernel) -> None:
    class Strict:
        name = "strict"

    await kernel.plugins.enter("strict", Strict())
    kernel.post.caps.add("mail", lambda: Caps(letters=1), "strict")
    assert kernel.post.limits.letters == 1
    await kernel.plugins.leave("strict")
    assert kernel.post.limits == Caps()


def test_a_reply_that_does_not_end_is_kept_up_to_a_size() -> None:
    reply = Reply()
    for _ in range(50):
        reply.hear(Text("x" * 100_001, "m1"))
    said = str(reply)
    assert said.startswith("x" * MOST) and said.endswith("was cut off.)") and len(said) < MOST + 100
    reply.hear(Text("short", "m2"))
    assert str(reply) == "short"
