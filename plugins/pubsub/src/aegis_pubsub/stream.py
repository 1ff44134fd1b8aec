"""A numbered stream: publishing never waits, the newest part is kept, and every subscriber's buffer is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import trio

PATIENCE = 10.0  # seconds a lossless subscriber may stand still
EVENTS, BYTES = 20_000, 8 * 2**20  # what is kept of the newest, for those who go on from a number


class Numbered(Protocol):
    """A batch of events; `number` is that of the last, `before` the number just before that of the first."""

    @property
    def events(self) -> Sequence[Any]: ...

    @property
    def number(self) -> int: ...

    @property
    def before(self) -> int: ...

    def after(self, number: int) -> Any:
        """Return the part of it whose numbers are higher."""


B = TypeVar("B", bound=Numbered)
Kinds = tuple[type[Any], ...]
Wanted = Callable[[B], bool] | Kinds


def moment(every: float) -> float:
    """Return the next of the moments at which all that wait so long wake together."""
    return (trio.current_time() // every + 1) * every


class Subscription(Generic[B]):
    """A view of the stream from the moment it is entered; iterating gives lists of batches, several per wake."""

    def __init__(
        self,
        stream: Stream[B],
        capacity: int,
        lossless: bool = False,
        only: Wanted[B] | None = None,
        since: int | None = None,
        every: float = 0.0,
        patient: Kinds | None = None,
    ) -> None:
        self._stream, self.capacity, self.lossless, self._since = stream, capacity, lossless, since
        self._kinds = frozenset(only) if isinstance(only, tuple) else None
        self._only = None if isinstance(only, tuple) else only
        self._every, self._patient = every, None if patient is None else frozenset(patient)
        self._queue: deque[B] = deque()
        self.earlier: list[B] = []  # what comes before everything else
        self.size = self._missed = self._missed_to = 0
        self._wake, self._hurry = trio.Event(), trio.Event()

    def push(self, batch: B, kinds: Set[type[Any]] = frozenset()) -> None:
        """Take a batch now, if it is wanted; when full, lose the oldest and count them, unless lossless."""
        kinds = kinds or set(map(type, batch.events))
        if (self._kinds and self._kinds.isdisjoint(kinds)) or (self._only and not self._only(batch)):
            return
        self._queue.append(batch)
        self.size += len(batch.events)
        while self.size > self.capacity and len(self._queue) > 1 and not self.lossless:
            old = self._queue.popleft()
            self.size -= len(old.events)
            self._missed += len(old.events)
            self._missed_to = old.number
        self._wake.set()
        if self.size > self.capacity or not (self._patient is None or self._patient >= kinds):
            self._hurry.set()

    def __aiter__(self) -> Subscription[B]:
        return self

    async def __anext__(self) -> list[B]:
        await self._wake.wait()
        if self._every and not self._hurry.is_set():
            with trio.move_on_at(moment(self._every)):
                await self._hurry.wait()
        return self.take()

    def take(self) -> list[B]:
        """Return what waits now."""
        self._wake, self._hurry = trio.Event(), trio.Event()
        gap = [self._stream.gap(self._missed, self._missed_to)] if self._missed else []
        batches = [*self.earlier, *gap, *self._queue]
        self.earlier, self._queue, self.size, self._missed = [], deque(), 0, 0
        self._stream.drained.set()
        return batches

    def __enter__(self) -> Subscription[B]:
        if self._since is not None:
            self.earlier = self._stream.lost(self._since)
            for batch in self._stream.kept(self._since):
                self.push(batch)
            self._wake.set()
            self._hurry.set()
        self._stream.subscriptions.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.subscriptions.discard(self)
        self._stream.drained.set()


class Stream(Generic[B]):
    """Numbers rise by one with each event; `number` is that of the last.

    `gap` makes the batch that stands for so many events nobody has any more, up to a number.
    """

    def __init__(self, gap: Callable[[int, int], B], number: int = 0) -> None:
        self.gap = gap
        self.subscriptions: set[Subscription[B]] = set()
        self.drained = trio.Event()
        self._kept: deque[tuple[B, int]] = deque()
        self._bytes = 0
        self.begin(number)

    def begin(self, number: int) -> None:
        """Number from here on; of what was before nothing is kept."""
        self.number = self._began = self._floor = number

    def push(self, batch: B, size: int) -> None:
        """Show the batch to every subscriber, and keep it as one of so many bytes; its number is the stream's now."""
        self.number, kinds = batch.number, set(map(type, batch.events))
        for subscription in self.subscriptions:
            subscription.push(batch, kinds)
        self._kept.append((batch, size))
        self._bytes += size
        while self._bytes > BYTES or self.number - self._floor > EVENTS:
            old, size = self._kept.popleft()
            self._bytes -= size
            self._floor = old.number

    def kept(self, since: int) -> Iterator[B]:
        """Yield the events after this number that are kept here; a batch that it lies in is cut."""
        old = next((n for n, (b, _) in enumerate(reversed(self._kept)) if b.number <= since), len(self._kept))
        for batch, _ in islice(self._kept, len(self._kept) - old, None):
            yield batch if batch.before >= since else batch.after(since)

    def lost(self, since: int) -> list[B]:
        """Return the gap between this number and what is kept here, if there is one."""
        until = self._floor if since <= self.number else self.number  # a number of the future is another stream's
        return [] if until <= since <= self.number else [self._gap(since, until, until)]

    def _gap(self, since: int, until: int, number: int, found: int = 0) -> B:
        known = self._began <= since <= until  # what came before the beginning is not counted here
        return self.gap(until - since - found if known else 0, number)

    def mended(self, since: int, until: int, found: Sequence[B]) -> list[B]:
        """Return what was found of the events between two numbers; all that is missing is one gap, where it begins."""
        begins, ends = [*(b.before for b in found), until], [since, *(b.number for b in found)]
        at = next((n for n, end in enumerate(ends) if begins[n] != end), -1)
        gap = self._gap(since, until, begins[at], sum(len(b.events) for b in found))
        return list(found) if at < 0 else [*found[:at], gap, *found[at:]]

    async def drain(self) -> list[Subscription[B]]:
        """Wait while a lossless subscriber is full; return those that stood still too long and are lossless no more."""
        if not (full := self._full()):
            return []  # as nearly always: nothing is set up for it
        with trio.move_on_after(PATIENCE) as scope:
            while full := self._full():
                if self.drained.is_set():
                    self.drained = trio.Event()
                await self.drained.wait()
        for subscription in full:
            subscription.lossless = not scope.cancelled_caught
        return full

    def _full(self) -> list[Subscription[B]]:
        return [s for s in self.subscriptions if s.lossless and s.size > s.capacity]

    def subscribe(
        self,
        capacity: int = 50_000,
        *,
        lossless: bool = False,
        only: Wanted[B] | None = None,
        since: int | None = None,
        every: float = 0.0,
        patient: Kinds | None = None,
    ) -> Subscription[B]:
        """Return a subscription to enter (`with stream.subscribe() as news: async for batches in news`).

        `only` are kinds of events (a batch with one of exactly these comes whole), or a function that is asked about
        each batch as it is published. With `since` it begins with what is kept of the events after that number, and a
        gap. With `every` what comes waits for more, so many seconds at most; when it is full, and when something comes
        that is not of the `patient` kinds (default: all are), it takes everything at once.
        """
        return Subscription(self, capacity, lossless, only, since, every, patient)
