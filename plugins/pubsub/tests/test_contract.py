"""A stream of anything that has numbers: bounded, never in the way of who publishes, and honest about what is lost."""

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


async def test_who_feeds_it_waits_for_a_lossless_one_and_not_for_ever(stream, autojump):
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
