"""Subscribers see what happened from then on, in order; a slow one loses detail, marked as a gap, and slows nobody."""

from __future__ import annotations

import pytest
import trio

from aegis.bus import Batch, Bus, Subscription
from aegis.events import Event, Fault, Gap, Notice, Text, ToolResult, VerbsChanged


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
        assert first == Batch("", (Gap(90),), 90)
        assert texts(rest) == [str(n) for n in range(90, 100)]
        assert len(texts(await taken(quick))) == 100
        bus.publish("a", Text("next"))
        assert await taken(slow) == [Batch("a", (Text("next"),), 101)], "a gap is told once"


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


def numbered(batches: list[Batch]) -> list[tuple[int, str]]:
    """Return each text with its number, and each gap as `missed` under its own."""
    found: list[tuple[int, str]] = []
    for batch in batches:
        for n, event in enumerate(batch.events, batch.before + 1):
            found.append((n, event.text if isinstance(event, Text) else f"missed {getattr(event, 'missed', '?')}"))
    return found


def test_every_event_has_a_number_and_a_batch_that_of_its_last() -> None:
    bus = Bus(1000)
    with bus.subscribe() as news:
        bus.publish("a", Text("1"), Text("2"))
        bus.publish("b")
        bus.publish("b", Text("3"))
        assert [(b.before, b.number) for b in news.take()] == [(1000, 1002), (1002, 1003)], "no batch is empty"
    assert bus.number == 1003


def test_a_subscriber_goes_on_from_a_number_and_a_batch_is_cut_where_that_lies() -> None:
    bus = Bus(1000)
    for n in range(1, 10, 3):
        bus.publish("a", *[Text(str(n + m)) for m in range(3)])
    for since in range(1000, 1010):
        with bus.subscribe(since=since) as news:
            bus.publish("a", Text("live"))
            seen = numbered(news.take())
        assert seen[: 1009 - since] == [(n, str(n - 1000)) for n in range(since + 1, 1010)]
        assert seen[-1] == (bus.number, "live")
        assert len(seen) == bus.number - since


@pytest.mark.parametrize(("size", "count"), [(1, 50_000), (2_000_000, 20)])
def test_what_is_kept_is_bounded_in_number_and_in_bytes_and_the_rest_is_a_gap(size: int, count: int) -> None:
    bus = Bus()
    events = [Text("x" * size), ToolResult("1", "x" * size)]
    for n in range(count):
        bus.publish("a", events[n % 2])
    with bus.subscribe(since=0) as news:
        gap, *rest = news.take()
    assert gap == Batch("", (Gap(count - len(rest)),), count - len(rest))
    assert 0 < len(rest) <= 20_000
    assert sum(size for _ in rest) <= 16 * 2**20
    assert rest[-1].number == count
    bus.publish("a", Text("x" * 20_000_000))
    with bus.subscribe(since=count) as news:
        assert news.take() == [Batch("", (Gap(1),), count + 1)], "one that is too large by itself is not kept"


def test_a_number_of_the_future_is_another_kernels_and_one_of_the_past_may_be() -> None:
    bus = Bus(1000)
    bus.publish("a", Text("1"))
    with bus.subscribe(since=5000) as foreign, bus.subscribe(since=10) as old:
        bus.publish("a", Text("2"))
        assert numbered(foreign.take()) == [(1001, "missed 0"), (1002, "2")]
        assert numbered(old.take()) == [(1000, "missed 0"), (1001, "1"), (1002, "2")]


async def test_what_is_on_disk_fills_a_gap_and_what_is_not_is_one_gap_where_it_begins() -> None:
    bus = Bus(100)
    bus.publish("a", *[Text(str(n)) for n in range(1, 11)])
    for found, seen in {
        (): [(110, "missed 10")],
        tuple(range(1, 11)): [(100 + n, str(n)) for n in range(1, 11)],
        (4, 5, 9): [(103, "missed 7"), (104, "4"), (105, "5"), (109, "9")],
        (1, 2, 9): [(101, "1"), (102, "2"), (108, "missed 7"), (109, "9")],
        (1, 2): [(101, "1"), (102, "2"), (110, "missed 8")],
    }.items():

        async def replay(since: int, until: int, found: tuple[int, ...] = found) -> list[Batch]:
            assert (since, until) == (100, 110)
            return [Batch("a", (Text(str(n)),), 100 + n) for n in found]

        bus.replayers.add("events", replay)
        assert numbered(await bus.recall(100, 110)) == seen
        bus.replayers.remove("")


async def test_a_replayer_that_fails_or_hangs_is_a_gap(autojump: object) -> None:
    bus = Bus()
    bus.publish("a", Text("1"), Text("2"))

    async def fails(since: int, until: int) -> list[Batch]:
        raise OSError("no disk")

    async def hangs(since: int, until: int) -> list[Batch]:
        await trio.sleep_forever()
        raise AssertionError

    for replay in (fails, hangs):
        bus.replayers.remove("")
        bus.replayers.add("events", replay)
        assert numbered(await bus.recall(0, 2)) == [(2, "missed 2")]
    assert [fault.source for fault in bus.faults] == ["replay"]


def test_a_subscriber_says_what_it_wants() -> None:
    bus = Bus()
    asked: list[Batch] = []

    def of_a(batch: Batch) -> bool:
        asked.append(batch)
        return batch.agent_id == "a"

    with (
        bus.subscribe(only=of_a) as a,
        bus.subscribe(only=(Fault,)) as one,
        bus.subscribe(only=(Fault, VerbsChanged)) as two,
    ):
        bus.publish("b", Text("1"), Notice("n"))
        bus.publish("a", Text("2"))
        bus.publish("", Text("3"), VerbsChanged(added=("x",)))
        assert len(asked) == 3, "it is asked at once"
        bus.report(Fault("x", "y"))
        assert [b.number for b in a.take()] == [3]
        assert [b.number for b in one.take()] == [6]
        assert [b.number for b in two.take()] == [5, 6]
