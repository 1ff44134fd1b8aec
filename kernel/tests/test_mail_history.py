"""Reading what was said and done: the same after a restart, and never on the loop while mail is on its way."""

from __future__ import annotations

import pytest
from fakedriver import FakeDriver, Plugin
from test_agent_life import SAM, ask, say

from aegis.app import Kernel
from aegis.errors import NotFound
from aegis.testing.plugin import Opened


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def plugins(driver: FakeDriver) -> dict[str, object]:
    return {"fake": Plugin(drivers=[driver])}


async def test_turns_are_read_newest_first_of_one_agent_or_after_a_record(
    kernel_with: Opened, plugins: dict[str, object]
) -> None:
    async with kernel_with(**plugins) as kernel:
        ann, bob = [await kernel.roster.spawn("fake", handle) for handle in ("ann", "bob")]
        for agent, body in ((ann, "one"), (bob, "two"), (ann, "three")):
            await ask(kernel, agent, body)
        await kernel.roster.close(bob)
    async with kernel_with(**plugins) as kernel:
        turns = await kernel.post.turns()
        assert [(t.agent, t.ended.reply) for t in turns] == [
            (ann.id, "echo: three"), (bob.id, "echo: two"), (ann.id, "echo: one"),
        ]  # fmt: skip
        assert await kernel.post.turns(count=1) == turns[:1]
        assert await kernel.post.turns(ann.id) == [turns[0], turns[2]]
        assert await kernel.post.turns(since=turns[1].seq) == turns[:1]
        assert kernel.post.turn(turns[1].ended.turn) == turns[1]
        assert kernel.post.turn("nonsense") is None


async def test_messages_are_read_newest_first_with_what_became_of_them(kernel: Kernel) -> None:
    ann = await kernel.roster.spawn("fake", "ann")
    await ask(kernel, ann, "one")
    waits = await kernel.post.deliver(kernel.post.envelope(f"agent:{ann.handle}", SAM, "for you"))
    found = await kernel.post.newest(10)
    assert [(e.body, r.state, r.recipient) for e, r in found] == [("for you", "accepted", SAM), ("one", "ended", "ann")]
    assert await kernel.post.newest(10, begins=waits.id[:-1]) == found[:1]
    assert await kernel.post.newest(10, begins="zz") == [] == await kernel.post.newest(10, dead=True)
    await kernel.post.dead_letter(kernel.post.letters(SAM), "nobody reads")
    [(envelope, receipt)] = await kernel.post.newest(10, dead=True)
    assert (envelope.id, receipt.reason) == (waits.id, "nobody reads")
    with pytest.raises(NotFound, match="there is no message 'x'"):
        kernel.post.find("x")


async def test_the_newest_ids_are_known_after_a_restart(kernel_with: Opened, plugins: dict[str, object]) -> None:
    async with kernel_with(**plugins) as kernel:
        ann = await kernel.roster.spawn("fake", "ann")
        ids = [(await say(kernel, ann, str(n))).id for n in range(60)]
        assert list(kernel.post.recent) == ids[-50:]
    async with kernel_with(**plugins) as kernel:
        assert [i for i in kernel.post.recent if i in ids] == ids[-50:]


async def test_neither_delivering_nor_waiting_nor_closing_reads_the_disk_on_the_loop(kernel: Kernel) -> None:
    ann, bob = [await kernel.roster.spawn("fake", handle) for handle in ("ann", "bob")]
    read: list[str] = []
    kernel.ledger._read.set_trace_callback(read.append)  # noqa: SLF001 - the loop's own connection has no other seam
    assert (await ask(kernel, ann, "hello")).reply == "echo: hello"
    await kernel.roster.close(bob)
    assert (kernel.roster.label(bob.id), kernel.roster.label("nobody")) == ("bob", "nobody")
    assert kernel.roster.born(bob.id)
    assert read == []
