"""What just happened, to whoever watches: bounded, batched, and never in the way of an agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import trio

from aegis.events import Event, Fault, Gap

_PATIENCE = 10.0  # seconds


class Batch(NamedTuple):
    """Events of one agent, in order; the kernel's own have an empty `agent_id`."""

    agent_id: str
    events: Sequence[Event]


class Subscription:
    """A view of the bus from the moment it was made; iterating gives lists of batches, several per wake."""

    def __init__(self, bus: Bus, capacity: int, lossless: bool) -> None:
        self._bus, self.capacity, self.lossless = bus, capacity, lossless
        self._queue: deque[Batch] = deque()
        self.size = self._missed = 0
        self._wake = trio.Event()

    def push(self, batch: Batch) -> None:
        """Take a batch now; when full, lose the oldest and count them, unless lossless."""
        self._queue.append(batch)
        self.size += len(batch.events)
        while self.size > self.capacity and len(self._queue) > 1 and not self.lossless:
            lost = len(self._queue.popleft().events)
            self.size -= lost
            self._missed += lost
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> list[Batch]:
        await self._wake.wait()
        return self.take()

    def take(self) -> list[Batch]:
        """Return what waits now."""
        self._wake = trio.Event()
        batches, self._queue, self.size = list(self._queue), deque(), 0
        if self._missed:
            batches.insert(0, Batch("", (Gap(self._missed),)))
            self._missed = 0
        self._bus.drained.set()
        return batches

    def __enter__(self) -> Subscription:
        self._bus.subscriptions.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._bus.subscriptions.discard(self)
        self._bus.drained.set()


class Bus:
    """The one place where happenings are published."""

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.drained = trio.Event()
        self.faults: deque[Fault] = deque(maxlen=100)

    def report(self, fault: Fault) -> None:
        """Show a fault, and keep it among the last hundred."""
        self.faults.append(fault)
        self.publish("", fault)

    def publish(self, agent_id: str, *events: Event) -> None:
        """Show the events to every subscriber."""
        batch = Batch(agent_id, events)
        for subscription in self.subscriptions:
            subscription.push(batch)

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

    def subscribe(self, capacity: int = 50_000, *, lossless: bool = False) -> Subscription:
        """Return a subscription to enter (`with bus.subscribe() as news: async for batches in news`)."""
        return Subscription(self, capacity, lossless)
