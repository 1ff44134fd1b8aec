"""Subscribers see what happened from then on, in order; a slow one loses detail, marked as a gap, and slows nobody."""

from __future__ import annotations

import trio

from aegis.bus import Batch, Bus, Subscription
from aegis.events import Event, Gap, Text


def texts(batches: list[Batch]) -> list[str]:
    return [e.text for batch in batches for e in batch.events if isinstance(e, Text)]


async def taken(news: Subscription) -> list[Batch]:
    """Return what waits now, which must be something."""
    with trio.fail_after(1):
        return await anext(news)


async def test_a_subscriber_sees_what_happens_from_then_on_in_order() -> None:
    bus = Bus()
    bus.publish("a", Text("before"))
    with bus.subscribe() as news:
        for n in range(5):
            bus.publish("a" if n % 2 else "b", Text(str(n)), Text(f"{n}+"))
        batches = await taken(news)
        assert [b.agent_id for b in batches] == ["b", "a", "b", "a", "b"]
        assert texts(batches) == ["0", "0+", "1", "1+", "2", "2+", "3", "3+", "4", "4+"]


async def test_every_subscriber_sees_the_same_and_one_that_left_sees_nothing() -> None:
    bus = Bus()
    with bus.subscribe() as first, bus.subscribe() as second:
        bus.publish("a", Text("x"))
        assert texts(await taken(first)) == texts(await taken(second)) == ["x"]
    bus.publish("a", Text("y"))
    assert not bus.subscriptions
    with trio.move_on_after(0) as scope:
        await anext(first)
    assert scope.cancelled_caught


async def test_a_full_subscriber_keeps_the_newest_and_is_told_how_much_it_missed() -> None:
    bus = Bus()
    with bus.subscribe(capacity=10) as slow, bus.subscribe() as quick:
        for n in range(100):
            bus.publish("a", Text(str(n)))
        first, *rest = await taken(slow)
        assert first == Batch("", (Gap(90),))
        assert texts(rest) == [str(n) for n in range(90, 100)]
        assert len(texts(await taken(quick))) == 100
        bus.publish("a", Text("next"))
        assert await taken(slow) == [Batch("a", (Text("next"),))], "a gap is told once"


async def test_a_batch_larger_than_the_capacity_arrives_whole() -> None:
    bus = Bus()
    big: tuple[Event, ...] = tuple(Text(str(n)) for n in range(50))
    with bus.subscribe(capacity=10) as news:
        bus.publish("a", Text("small"))
        bus.publish("a", *big)
        gap, batch = await taken(news)
        assert gap.events == (Gap(1),)
        assert batch.events == big


async def test_publishing_never_waits_for_a_subscriber_that_does_nothing() -> None:
    bus = Bus()
    with bus.subscribe() as news:
        for _ in range(200):
            bus.publish("a", *[Text("x")] * 1000)
        assert news.size <= 50_000 + 1000


async def test_who_feeds_a_stream_waits_for_a_lossless_subscriber_and_for_no_other() -> None:
    bus = Bus()
    with bus.subscribe(capacity=5), bus.subscribe(capacity=5, lossless=True) as keeper:
        read = 0

        async def feed() -> None:
            nonlocal read
            for n in range(50):
                bus.publish("a", Text(str(n)))
                read += 1
                await bus.room()

        seen: list[str] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed)
            await trio.testing.wait_all_tasks_blocked()
            assert read == 6, "it read on although the keeper was full"
            while len(seen) < 50:
                batches = await taken(keeper)
                assert Gap not in {type(e) for b in batches for e in b.events}
                seen += texts(batches)
        assert seen == [str(n) for n in range(50)]


async def test_a_lossless_subscriber_that_leaves_holds_nobody_up() -> None:
    bus = Bus()
    async with trio.open_nursery() as nursery:
        with bus.subscribe(capacity=1, lossless=True):
            bus.publish("a", Text("1"), Text("2"))
            nursery.start_soon(bus.room)
            await trio.testing.wait_all_tasks_blocked()
    with trio.fail_after(1):
        await bus.room()


async def test_several_who_wait_for_room_all_go_on() -> None:
    bus = Bus()
    with bus.subscribe(capacity=1, lossless=True) as keeper:
        bus.publish("a", Text("1"), Text("2"))
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(bus.room)
                await trio.testing.wait_all_tasks_blocked()
                await taken(keeper)
