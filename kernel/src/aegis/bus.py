"""What just happened, to whoever watches: bounded, batched, and never in the way of an agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

import trio

from aegis.events import Event, Gap


class Batch(NamedTuple):
    """Events of one agent, in order; the kernel's own have an empty `agent_id`."""

    agent_id: str
    events: Sequence[Event]


class Subscription:
    """A view of the bus from the moment it was made; iterating gives lists of batches, several per wake."""

    def __init__(self, bus: Bus, capacity: int) -> None:
        self._bus, self._capacity = bus, capacity
        self._queue: deque[Batch] = deque()
        self._size = self._missed = 0
        self._wake = trio.Event()

    def push(self, batch: Batch) -> None:
        """Take a batch now or, when full, lose the oldest and count them: the publisher never waits."""
        self._queue.append(batch)
        self._size += len(batch.events)
        while self._size > self._capacity and len(self._queue) > 1:
            lost = len(self._queue.popleft().events)
            self._size -= lost
            self._missed += lost
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> list[Batch]:
        await self._wake.wait()
        self._wake = trio.Event()
        batches, self._queue, self._size = list(self._queue), deque(), 0
        if self._missed:
            batches.insert(0, Batch("", (Gap(self._missed),)))
            self._missed = 0
        return batches

    def __enter__(self) -> Subscription:
        self._bus.subscriptions.add(self)
        return self

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bus.subscriptions.discard(self)


class Bus:
    """The one place where happenings are published."""

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()

    def publish(self, agent_id: str, *events: Event) -> None:
        """Show the events to every subscriber."""
        self.publish_batch(Batch(agent_id, events))

    def publish_batch(self, batch: Batch) -> None:
        """Show a batch to every subscriber."""
        for subscription in self.subscriptions:
            subscription.push(batch)

    def subscribe(self, capacity: int = 50_000) -> Subscription:
        """Return a subscription to enter (`with bus.subscribe() as news: async for batches in news`)."""
        return Subscription(self, capacity)
