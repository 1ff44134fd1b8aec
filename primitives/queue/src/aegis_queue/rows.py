"""What people and agents are shown of tasks and queues."""

from __future__ import annotations

import msgspec

from aegis_queue.task import STATES, Task


class Enqueued(msgspec.Struct, frozen=True):
    """A task that is on disk; position 0 means that it begins at once, `known` that its key was seen before."""

    task_id: str
    queued_position: int
    queue: str
    callback: bool
    known: bool = False

    def __str__(self) -> str:
        where = f"position {self.queued_position}" if self.queued_position else "begins now"
        return f"task {self.task_id} in {self.queue}: {'known already' if self.known else where}"


class TaskRow(msgspec.Struct, frozen=True):
    """A task in a list."""

    id: str
    queue: str
    status: str
    outcome: str
    by: str
    worker: str
    attempt: int
    since: str
    payload: str

    def __str__(self) -> str:
        how = self.outcome or self.status
        more = [self.worker] if self.status == "running" else [f"attempt {self.attempt}"] if self.attempt > 1 else []
        return " · ".join([self.id, how, *more, self.since, self.payload])


class TaskStatus(msgspec.Struct, frozen=True):
    """Everything about a task; `status` is pending, running, completed, failed or cancelled.

    With `cost_unknown` nobody tells what a part of it cost, and there is no `cost_usd`.
    """

    task_id: str
    queue: str
    status: str
    outcome: str
    result: str
    error: str
    queued_position: int
    payload: str
    enqueued_by: str
    enqueued_at: str
    started_at: str
    completed_at: str
    worker: str
    attempt: int
    cost_usd: float | None
    artefacts: tuple[str, ...]
    waits_for: tuple[str, ...]
    held: str
    cost_unknown: bool = False


class QueueRow(msgspec.Struct, frozen=True):
    """A queue: its worker's profile, its cap, and how many of its tasks are in each state."""

    name: str
    agent: str
    mode: str
    running: int
    max_parallel: int
    pending: int
    completed: int
    failed: int
    cancelled: int
    held: str

    def __str__(self) -> str:
        counts = ", ".join(f"{getattr(self, s)} {s}" for s in STATES)
        held = f"\nheld back: {self.held}" if self.held else ""
        return f"{self.name}: {self.mode}, {self.agent}, at most {self.max_parallel} at once\n{counts}{held}"


class QueueSheet(msgspec.Struct, frozen=True):
    """One queue with its running tasks, the next ones, and those that ended last."""

    queue: QueueRow
    running: list[TaskRow]
    pending: list[TaskRow]
    ended: list[TaskRow]

    def __str__(self) -> str:
        parts = {"running": self.running, "next": self.pending, "ended last": self.ended}
        lists = ("\n".join([f"\n{name}:", *(f"  {row}" for row in rows)]) for name, rows in parts.items() if rows)
        return "\n".join([str(self.queue), *lists])


def row_of(t: Task) -> TaskRow:
    first = t.payload.strip().splitlines()[0]
    brief = first if len(first) <= 64 else first[:63] + "…"
    since = t.completed_at or t.started_at or t.enqueued_at
    return TaskRow(t.id, t.queue, t.state, t.outcome, t.enqueued_by, t.worker_handle, t.attempt, since, brief)
