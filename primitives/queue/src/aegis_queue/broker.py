"""Where tasks are kept and how they change: the one seam between the queue and whatever engine holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from aegis import Envelope
from aegis_queue.task import Report, Task


class Broker(Protocol):
    """Every method that changes something is durable when it returns; what belongs together is stored together.

    A caller never sees SQL, files or leases. `changed` is called after each change, with the task as it is then.
    """

    changed: list[Callable[[Task], None]]

    def restore(self) -> None:
        """Rebuild what waits and what runs, before anything else is asked."""

    async def put(self, task: Task) -> tuple[Task, int]:
        """Accept the task and return it with its position; one of a known idempotency key is the task it names."""

    async def begin(self, task: Task, payload: Envelope, **changes: Any) -> Task:
        """Give the payload to the worker and record that the task runs, both or neither."""

    async def end(self, task: Task, callback: Envelope | None, **changes: Any) -> Task:
        """Record how the task ended and give the callback to the post, both or neither; an end is for ever."""

    async def again(self, task: Task, **changes: Any) -> Task:
        """Put the task back into its queue; raises `Refused` when that is being done already."""

    async def reported(self, task: Task, report: Report) -> None:
        """Record what the worker of the task handed in; of a worker that has the task no more it counts for nothing."""

    async def control(self, queue: str, mode: str) -> None:
        """Record whether the queue is `open`, `paused` or `draining`."""

    def find(self, task_id: str) -> Task:
        """Return the task, however long ago it ended; raises `NotFound`."""

    def named(self, queue: str, key: str) -> Task | None:
        """Return the task of this idempotency key in the queue, None when there is none."""

    def take(self, task: Task) -> bool:
        """Take a pending task, so that nobody else begins or ends it; False when another has it."""

    def put_back(self, task: Task) -> None:
        """Give a task that was taken its place again; nothing happens when it was begun or ended after all."""

    def first(self, queue: str, now: str) -> Task | None:
        """Return the pending task that may begin now, if any."""

    def due(self, queue: str) -> str:
        """Return when the next delayed task of the queue may begin, empty when none is."""

    def active(self, queue: str = "") -> Iterable[Task]:
        """Return the tasks that have not ended, of one queue or of all."""

    def at_hand(self) -> list[str]:
        """Return the ids of the tasks that have not ended and of those that ended last."""

    def newest(self, queue: str, count: int) -> list[Task]:
        """Return the tasks of the queue (or of all) that ended last, the newest first."""

    def dead(self, queue: str) -> list[Task]:
        """Return the tasks of the queue (or of all) that failed and were not put back, the newest first."""

    def broken(self) -> list[tuple[Task, str]]:
        """Return the pending tasks that wait for one that failed, and for which."""

    def mode(self, queue: str) -> str:
        """Return `open`, `paused` or `draining`."""

    def counts(self, queue: str) -> dict[str, int]:
        """Return how many tasks of the queue are in each state."""
