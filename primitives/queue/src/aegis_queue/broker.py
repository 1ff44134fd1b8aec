"""Where tasks are kept and how they change: the seam between the queue and the engine that holds its tasks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from aegis import Envelope, Kernel
from aegis.ledger import Draft
from aegis_queue.task import Report, Task


class Outgoing(msgspec.Struct, frozen=True):
    """A message that a step of a task causes, recorded with that step and not yet known to be delivered."""

    task_id: str
    envelope: Envelope


class Broker(Protocol):
    """An engine that keeps tasks; `name` is what `plugins.queue.broker` chooses it by.

    A change is durable when its method returns. A caller never sees SQL, files or leases.

    `begin` and `end` change a task and cause a message, both or neither, wherever aegis dies. A broker whose tasks are
    in the kernel's ledger appends both at once. Any other records the message with the step, in its outbox: the queue
    then delivers what is `unsent` and reports it as `sent`. Mail has each envelope once by its id, so that a message
    that is delivered a second time after a crash changes nothing.

    A task that was taken is in nobody else's hands until it is begun, ended, requeued or put back; taking ends with the
    process that took it.
    """

    name: str

    def open(self, kernel: Kernel, changed: Callable[[Task], None]) -> AbstractAsyncContextManager[None]:
        """Be ready for use inside (`async with`); `changed` is called with a task after each change of it.

        It is also called with a task that may begin because another one has ended, or never will, and with one that was
        put back. A broker can be opened again after it was left.
        """

    async def put(self, task: Task) -> tuple[Task, int]:
        """Accept the task and return it with its position; for a known idempotency key, the task that has it and 0."""

    async def begin(self, task: Task, payload: Envelope, *worker: Draft, **changes: Any) -> Task:
        """Record that the task runs, and the payload for its worker, both or neither.

        The kernel's records of its `worker` are stored in the same step, or before it: never is a task begun by nobody.
        """

    async def end(self, task: Task, callback: Envelope | None, **changes: Any) -> Task:
        """Record how the task ended, and the callback, both or neither; a task that has ended stays as it is."""

    async def unsent(self, task_id: str = "") -> list[Outgoing]:
        """Return the outbox, of one task or whole, oldest first; always empty where messages are stored with steps."""

    async def sent(self, outgoing: Outgoing, refused: str = "") -> None:
        """Take a message out of the outbox: it was delivered, or refused for good and why."""

    async def requeue(self, task: Task, **changes: Any) -> Task:
        """Put the task back into its queue; raises `Refused` when another call does that at this moment."""

    async def report(self, task: Task, report: Report) -> None:
        """Record the result that the worker of this attempt handed in; it counts only while that attempt runs."""

    async def set_mode(self, queue: str, mode: str) -> None:
        """Record whether the queue is `open`, `paused` or `draining`."""

    async def find(self, task_id: str) -> Task:
        """Return the task, however long ago it ended; raises `NotFound`."""

    async def with_key(self, queue: str, key: str) -> Task | None:
        """Return the task of this idempotency key in the queue, None when there is none."""

    async def take(self, task: Task) -> bool:
        """Take a pending task, so that nobody else begins or ends it; False when it is taken or not pending."""

    async def put_back(self, task: Task) -> None:
        """Give back a task that was taken; nothing happens when it was begun or ended meanwhile."""

    async def first(self, queue: str, now: str) -> Task | None:
        """Return the task that may begin now, by priority and then by arrival; None when there is none."""

    async def due(self, queue: str) -> str:
        """Return when the next delayed task of the queue may begin, empty when there is none."""

    async def running(self, queue: str = "") -> list[Task]:
        """Return the running tasks, of one queue or of all, in the order of arrival."""

    async def waiting(self, queue: str, count: int) -> list[Task]:
        """Return so many pending tasks, by priority and then by arrival, of one queue or of all: those, too, that may
        not begin yet, and those that are taken.
        """

    async def position(self, task: Task) -> int:
        """Return where a pending task stands in its queue, counted from 1; 0 when it is taken, or not pending."""

    async def agents(self) -> set[str]:
        """Return the agents that `of` has tasks of."""

    async def of(self, agent: str) -> list[Task]:
        """Return the tasks not ended that are the act of an agent, or that it had in an earlier attempt, by arrival."""

    async def owned(self, agent: str, queue: str) -> int:
        """Return how many tasks of the queue have not ended and are the act of the agent."""

    async def ids(self, end: str, count: int) -> list[str]:
        """Return the ids of tasks that have not ended and whose ids end like this, at most so many."""

    async def newest(self, queue: str, count: int) -> list[Task]:
        """Return the tasks of the queue (or of all) that ended last, the newest first."""

    async def dead(self, queue: str) -> list[Task]:
        """Return the tasks of the queue (or of all) that failed and were not put back, the newest first."""

    async def blocked(self) -> list[tuple[Task, str]]:
        """Return the pending tasks that can never begin, each with the task it waits for that has no result."""

    async def mode(self, queue: str) -> str:
        """Return `open`, `paused` or `draining`."""

    async def counts(self, queue: str) -> dict[str, int]:
        """Return how many tasks of the queue are in each state, states without a task included."""
