"""A task: what is asked, and what became of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from aegis import Caller

State = Literal["pending", "running", "completed", "failed", "cancelled"]
Outcome = Literal[
    "", "ok", "silent", "truncated", "error", "refused", "timed_out", "interrupted", "dependency", "cancelled"
]
STATES: tuple[State, ...] = ("pending", "running", "completed", "failed", "cancelled")
OVER = frozenset(STATES[2:])


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker handed in: any JSON, and the files it made."""

    result: Any
    artefacts: tuple[str, ...] = ()


class Task(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One piece of work; `seq` is its place in the order of arrival, `address` who is called back.

    `caller` is who enqueued it, as data: what the queue does for the task is done for that one, also after a restart.
    `worker` has it now, `former` had it in the attempt before, as `cost_usd` is what all of them cost.

    A record of the book holds the fields that it changes, so that a task is the fold of its records.
    """

    id: str = msgspec.field(name="task_id")
    queue: str
    payload: str
    enqueued_by: str
    enqueued_at: str
    caller: dict[str, Any] = {}
    address: str = ""
    callback: bool = True
    priority: int = 0
    not_before: str = ""
    after: tuple[str, ...] = ()
    key: str = ""
    timeout: float | None = None
    schema: dict[str, Any] | None = None
    trace: str = ""
    hops: int = 0
    seq: int = 0
    state: State = "pending"
    attempt: int = 0
    worker: str = ""
    worker_handle: str = ""
    former: str = ""
    envelope: str = ""
    started_at: str = ""
    completed_at: str = ""
    outcome: Outcome = ""
    result: str = ""
    error: str = ""
    report: Report | None = None
    artefacts: tuple[str, ...] = ()
    cost_usd: float | None = 0.0  # of all attempts; None when a part of it is not known

    @property
    def over(self) -> bool:
        """True once it has ended."""
        return self.state in OVER

    @property
    def owner(self) -> Caller:
        """Who enqueued it."""
        if self.caller:
            return msgspec.convert(self.caller, Caller)
        kind, _, name = self.enqueued_by.partition(":")  # a record of a version that did not keep the caller
        agent = self.address if kind == "agent" else ""
        return Caller(kind, name, agent, self.trace, self.hops)

    @property
    def agent(self) -> str:
        """The agent whose act it is, empty when there is none behind it."""
        if self.caller:
            return str(self.caller.get("agent_id", ""))
        return self.address if self.enqueued_by.startswith("agent:") else ""

    @property
    def queue_caller(self) -> Caller:
        """The queue as it acts for who enqueued the task."""
        return self.owner.through("queue", self.queue)

    @property
    def rank(self) -> tuple[int, int]:
        """Where it stands in its queue: the higher priority first, then who came first."""
        return -self.priority, self.seq

    def changed(self, data: Mapping[str, Any]) -> Task:
        """Return the task as a record's data says that it is now."""
        return msgspec.convert({**msgspec.to_builtins(self), **data}, Task)
