"""A stream of anything that has numbers: bounded, never in the way of who publishes, and honest about what is lost."""

from math import inf
from typing import NamedTuple

import pytest
import trio
import trio.testing

from aegis_pubsub import stream as module
from aegis_pubsub.stream import Stream


class Batch(NamedTuple):
    events: tuple[str, ...]
    number: int

    @property
    def before(self):
        return self.number - len(self.events)

    def after(self, number):
        return self._replace(events=self.events[number - self.before :])


def missing(missed, number):
    return Batch((f"{missed} missed",), number)


@pytest.fixture
def stream():
    return Stream(missing)


def say(stream, *events, size=1):
    stream.push(Batch(events, stream.number + len(events)), size)


def heard(batches):
    return [event for batch in batches for event in batch.events]


def test_a_subscriber_sees_what_comes_from_then_on(stream):
    say(stream, "before")
    with stream.subscribe() as news:
        say(stream, "a", "b")
        assert heard(news.take()) == ["a", "b"]
    say(stream, "after")
    assert not stream.subscriptions and news.take() == []


def test_a_full_one_loses_the_oldest_and_is_told_once(stream):
    with stream.subscribe(3) as slow, stream.subscribe(3, only=(bytes,)) as picky:
        for n in range(10):
            say(stream, str(n))
        assert heard(slow.take()) == ["7 missed", "7", "8", "9"]
        assert slow.take() == [] == picky.take()


async def test_one_that_wants_only_some_kinds_is_not_woken_by_others(stream):
    with stream.subscribe(only=(int,)) as picky:
        say(stream, "a")
        with trio.move_on_after(0) as scope:
            await anext(picky)
        assert scope.cancelled_caught
        say(stream, "b", 1)
        assert heard(await anext(picky)) == ["b", 1], "a batch with one of them comes whole"


@pytest.fixture
def still(clock):
    """A clock that moves only when every task waits."""
    clock.trio.rate, clock.trio.autojump_threshold = 0, 0
    return clock


async def test_what_comes_waits_for_more_and_all_that_wait_wake_together(still):
    stream, wakes = Stream(missing), []

    def woken(batches):
        wakes.append((trio.current_time(), len(heard(batches))))

    async def follow(task_status):
        with stream.subscribe(every=0.1) as news:
            task_status.started()
            async for batches in news:
                woken(batches)

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            await nursery.start(follow)
            await trio.sleep(0.03)
        for n in range(100):
            say(stream, str(n))
            await trio.sleep(0.01)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert sum(count for _, count in wakes) == 200
    assert len(wakes) <= 2 * 11 and len({moment for moment, _ in wakes}) == len(wakes) / 2


async def test_what_may_not_wait_takes_the_rest_along(still):
    stream, clock = Stream(missing), still.trio
    with stream.subscribe(4, every=0.1, patient=(str,)) as news:
        say(stream, "a")
        say(stream, 1)
        assert heard(await anext(news)) == ["a", 1]
        say(stream, "b")
        with trio.move_on_after(0) as scope:
            await anext(news)
        assert scope.cancelled_caught
        assert heard(await anext(news)) == ["b"]
        clock.autojump_threshold = inf
        say(stream, *"12345")
        assert heard(await anext(news)) == list("12345"), "it is full"


@pytest.mark.parametrize("since", range(6))
def test_who_comes_back_goes_on_from_a_number_also_inside_a_batch(stream, since):
    say(stream, "1", "2", "3")
    say(stream, "4", "5")
    with stream.subscribe(since=since) as news:
        assert heard(news.take()) == ["1", "2", "3", "4", "5"][since:]


def test_what_is_kept_has_a_limit_in_number_and_in_bytes(stream):
    for n in range(module.EVENTS + 10):
        say(stream, str(n))
    assert heard(stream.lost(0)) == ["10 missed"] and next(stream.kept(0)).number == 11
    say(stream, "small")
    say(stream, "big", size=module.BYTES)
    assert [b.events for b in stream.kept(0)] == [("big",)]
    say(stream, "too big", size=module.BYTES + 1)
    assert list(stream.kept(0)) == []


def test_a_number_of_the_future_is_another_streams(stream):
    say(stream, "1")
    assert heard(stream.lost(99)) == ["0 missed"] and stream.lost(1) == []


@pytest.mark.parametrize(
    ("found", "mended"),
    [((), ["3 missed"]), ((1, 2, 3), ["1", "2", "3"]), ((1, 3), ["1", "1 missed", "3"]), ((1,), ["1", "2 missed"])],
)
def test_what_is_missing_between_two_numbers_is_one_gap_where_it_begins(stream, found, mended):
    say(stream, "1", "2", "3")
    assert heard(stream.mended(0, 3, [Batch((str(n),), n) for n in found])) == mended


async def test_who_feeds_it_waits_for_a_lossless_one_and_not_for_ever(stream, still):
    with stream.subscribe(1, lossless=True) as keeper:
        say(stream, "1", "2")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.drain)
            await trio.testing.wait_all_tasks_blocked()
            assert heard(keeper.take()) == ["1", "2"]
        say(stream, "3", "4")
        before = trio.current_time()
        assert await stream.drain() == [keeper]
        assert trio.current_time() - before >= module.PATIENCE and not keeper.lossless
        assert await stream.drain() == []
