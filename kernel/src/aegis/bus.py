"""What just happened, to whoever watches: numbered, bounded, batched, and never in the way of an agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, cast

import trio

from aegis.events import Event, Fault, Gap, Text, Thought
from aegis.registry import Registry

_PATIENCE = 10.0  # seconds
_EVENTS, _BYTES = 20_000, 16 * 2**20  # what is kept of the newest events, for those who go on from a number


class Batch(NamedTuple):
    """Events of one agent, in order; the kernel's own have an empty `agent_id`.

    Every event has a number. They rise by one with each event, and over restarts of the kernel; `number` is that of the
    last event here. The number of a `Gap` is that of the last event it stands for.
    """

    agent_id: str
    events: Sequence[Event]
    number: int = 0

    @property
    def before(self) -> int:
        """The number just before that of the first event."""
        return self.number - len(self.events)


Wanted = Callable[[Batch], bool] | tuple[type[Event], ...]
Replayer = Callable[[int, int], Awaitable[Sequence[Batch]]]


class Subscription:
    """A view of the bus from the moment it is entered; iterating gives lists of batches, several per wake."""

    def __init__(
        self, bus: Bus, capacity: int, lossless: bool = False, only: Wanted | None = None, since: int | None = None
    ) -> None:
        self._bus, self.capacity, self.lossless, self._since = bus, capacity, lossless, since
        self._only = (lambda b: any(isinstance(e, only) for e in b.events)) if isinstance(only, tuple) else only
        self._queue: deque[Batch] = deque()
        self.earlier: list[Batch] = []  # what comes before everything else
        self.size = self._missed = self._missed_to = 0
        self._wake = trio.Event()

    def push(self, batch: Batch) -> None:
        """Take a batch now, if it is wanted; when full, lose the oldest and count them, unless lossless."""
        if self._only and not self._only(batch):
            return
        self._queue.append(batch)
        self.size += len(batch.events)
        while self.size > self.capacity and len(self._queue) > 1 and not self.lossless:
            old = self._queue.popleft()
            self.size -= len(old.events)
            self._missed += len(old.events)
            self._missed_to = old.number
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> list[Batch]:
        await self._wake.wait()
        return self.take()

    def take(self) -> list[Batch]:
        """Return what waits now."""
        self._wake = trio.Event()
        gap = [Batch("", (Gap(self._missed),), self._missed_to)] if self._missed else []
        batches = [*self.earlier, *gap, *self._queue]
        self.earlier, self._queue, self.size, self._missed = [], deque(), 0, 0
        self._bus.drained.set()
        return batches

    def __enter__(self) -> Subscription:
        if self._since is not None:
            self.earlier = self._bus.lost(self._since)
            for batch in self._bus.kept(self._since):
                self.push(batch)
            self._wake.set()
        self._bus.subscriptions.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._bus.subscriptions.discard(self)
        self._bus.drained.set()


class Bus:
    """The one place where happenings are published; `number` is that of the last event."""

    def __init__(self, number: int = 0, cut: Callable[[Sequence[Event]], Sequence[Event]] = tuple) -> None:
        self.begin(number)
        self.subscriptions: set[Subscription] = set()
        self._cut, self.drained = cut, trio.Event()
        self.faults: deque[Fault] = deque(maxlen=100)
        self.replayers: Registry[Replayer] = Registry("replayer")  # `events`: what is on disk between two numbers
        self._kept: deque[tuple[Batch, int]] = deque()
        self._bytes = 0

    def begin(self, number: int) -> None:
        """Number from here on; of what was before nothing is kept."""
        self.number = self._began = self._floor = number

    def report(self, fault: Fault) -> None:
        """Show a fault, and keep it among the last hundred."""
        self.faults.extend(cast("Sequence[Fault]", self._cut((fault,))))
        self.publish("", fault)

    def publish(self, agent_id: str, *events: Event) -> None:
        """Show the events to every subscriber."""
        if not events:
            return
        events = tuple(self._cut(events))
        self.number += len(events)
        batch = Batch(agent_id, events, self.number)
        for subscription in self.subscriptions:
            subscription.push(batch)
        size = sum([len(e.text if type(e) is Text or type(e) is Thought else repr(e)) for e in events])
        self._kept.append((batch, size))
        self._bytes += size
        while self._bytes > _BYTES or self.number - self._floor > _EVENTS:
            old, size = self._kept.popleft()
            self._bytes -= size
            self._floor = old.number

    def kept(self, since: int) -> Iterator[Batch]:
        """Yield the events after this number that are kept here; a batch that it lies in is cut."""
        old = next((n for n, (b, _) in enumerate(reversed(self._kept)) if b.number <= since), len(self._kept))
        for batch, _ in islice(self._kept, len(self._kept) - old, None):
            yield batch if batch.before >= since else batch._replace(events=batch.events[since - batch.number :])

    def lost(self, since: int) -> list[Batch]:
        """Return the gap between this number and what is kept here, if there is one."""
        until = self._floor if since <= self.number else self.number  # a number of the future is another kernel's
        return [] if until <= since <= self.number else [self._gap(since, until, until)]

    def _gap(self, since: int, until: int, number: int, found: int = 0) -> Batch:
        known = self._began <= since <= until  # what an earlier kernel published is not counted here
        return Batch("", (Gap(until - since - found if known else 0),), number)

    async def recall(self, since: int, until: int) -> list[Batch]:
        """Return what is on disk between two numbers; all that is missing is one gap, where the first is missing."""
        found: Sequence[Batch] = ()
        if since < until and (replay := self.replayers.get("events")):
            with trio.move_on_after(_PATIENCE):
                try:
                    found = await replay(since, until)
                except Exception as error:  # noqa: BLE001 - a plugin's: the watcher goes on without
                    self.report(Fault("replay", repr(error)))
        begins, ends = [*(b.before for b in found), until], [since, *(b.number for b in found)]
        at = next((n for n, end in enumerate(ends) if begins[n] != end), -1)
        gap = self._gap(since, until, begins[at], sum(len(b.events) for b in found))
        return list(found) if at < 0 else [*found[:at], gap, *found[at:]]

    async def room(self) -> None:
        """Wait while a lossless subscriber is full: the one who feeds the bus a stream asks before reading on.

        One that stands still for `_PATIENCE` seconds is lossless no more, and that is reported.
        """
        with trio.move_on_after(_PATIENCE) as scope:
            while full := [s for s in self.subscriptions if s.lossless and s.size > s.capacity]:
                if self.drained.is_set():
                    self.drained = trio.Event()
                await self.drained.wait()
        for subscription in full if scope.cancelled_caught else ():
            subscription.lossless = False
            self.report(Fault("bus", f"a watcher took nothing for {_PATIENCE:g} s; it loses events from now on"))

    def subscribe(
        self, capacity: int = 50_000, *, lossless: bool = False, only: Wanted | None = None, since: int | None = None
    ) -> Subscription:
        """Return a subscription to enter (`with bus.subscribe() as news: async for batches in news`).

        `only` are kinds of events (a batch with one of them comes whole), or a function that is asked about each batch
        as it is published. With `since` it begins with what is kept of the events after that number, and a `Gap`.
        """
        return Subscription(self, capacity, lossless, only, since)
