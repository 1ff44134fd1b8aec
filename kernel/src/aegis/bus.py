"""What just happened, to whoever watches: numbered, bounded, batched, and never in the way of an agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias, cast

import trio

from aegis.events import Event, Fault, Gap, Text, Thought
from aegis.registry import Registry
from aegis_pubsub import stream
from aegis_pubsub.stream import PATIENCE
from aegis_pubsub.weight import weight

_PLAIN = frozenset((Text, Thought))


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

    def after(self, number: int) -> Batch:
        """Return the part of it whose numbers are higher."""
        return self._replace(events=self.events[number - self.before :])


Subscription: TypeAlias = stream.Subscription[Batch]
Replayer = Callable[[int, int], Awaitable[Sequence[Batch]]]


class Bus(stream.Stream[Batch]):
    """The one place where happenings are published."""

    def __init__(self, number: int = 0, cut: Callable[[Sequence[Event]], Sequence[Event]] = tuple) -> None:
        super().__init__(lambda missed, number: Batch("", (Gap(missed),), number), number)
        self._cut = cut
        self.faults: deque[Fault] = deque(maxlen=100)
        self.replayers: Registry[Replayer] = Registry("replayer")  # `events`: what is on disk between two numbers

    def report(self, fault: Fault) -> None:
        """Show a fault, and keep it among the last hundred."""
        self.faults.extend(cast("Sequence[Fault]", self._cut((fault,))))
        self.publish("", fault)

    def publish(self, agent_id: str, *events: Event) -> None:
        """Show the events to every subscriber."""
        if events:
            events = tuple(self._cut(events))
            self.push(Batch(agent_id, events, self.number + len(events)), weight(events, _PLAIN))

    async def recall(self, since: int, until: int) -> list[Batch]:
        """Return what is on disk between two numbers; all that is missing is one gap, where the first is missing."""
        found: Sequence[Batch] = ()
        if since < until and (replay := self.replayers.get("events")):
            with trio.move_on_after(PATIENCE):
                try:
                    found = await replay(since, until)
                except Exception as error:  # noqa: BLE001 - a plugin's: the watcher goes on without
                    self.report(Fault("replay", repr(error)))
        return self.mended(since, until, found)

    async def room(self) -> None:
        """Wait while a lossless subscriber is full: the one who feeds the bus a stream asks before reading on.

        One that stands still for `PATIENCE` seconds is lossless no more, and that is reported.
        """
        for _ in await self.drain():
            self.report(Fault("bus", f"a watcher took nothing for {PATIENCE:g} s; it loses events from now on"))
