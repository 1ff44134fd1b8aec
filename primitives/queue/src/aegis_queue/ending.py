"""How a task ends: what is recorded and what its owner is told, both or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from aegis import Envelope, Kernel
from aegis.agent import Agent
from aegis.clock import stamp
from aegis_queue.broker import Broker
from aegis_queue.outbox import send
from aegis_queue.task import Outcome, State, Task

_STATE: dict[Outcome, State] = {
    "ok": "completed", "silent": "completed", "truncated": "completed", "cancelled": "cancelled",
}  # fmt: skip
LAST = 4_000  # characters of last words that a callback carries; a result is carried whole
_HOW: dict[Outcome, str] = {
    "silent": "The worker ended its turn without a word.",
    "truncated": "The answer was cut off: the model reached its limit.",
}


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended: `words` is the worker's final message, or the last ones it said before it was stopped."""

    outcome: Outcome
    words: str = ""
    error: str = ""


async def finish(kernel: Kernel, broker: Broker, task: Task, end: End, attempt: int = 0) -> Task:
    """Return the task, ended for good; its owner is told in the same step."""
    report, agent = task.report, kernel.roster.get(task.worker)
    good = _STATE.get(end.outcome, "failed") == "completed"
    result = end.words if report is None else plain(report.result)
    changes: dict[str, Any] = {
        "state": _STATE.get(end.outcome, "failed"), "outcome": end.outcome, "error": "" if good else end.error,
        "attempt": attempt or task.attempt, "result": result, "artefacts": report.artefacts if report else (),
        "completed_at": stamp(kernel.clock.now()), "cost_usd": spent_on(task, agent),
    }  # fmt: skip
    ended = await broker.end(task, _callback(kernel, task.changed(msgspec.to_builtins(changes))), **changes)
    await send(kernel, broker, task.id)
    if asker := kernel.roster.get(task.address):
        asker.expect(f"task {task.id}", "")
    return ended


def spent_on(task: Task, agent: Agent | None) -> float | None:
    """Return the dollars of the task with those of the agent that works at it; None when a part is not known."""
    if task.cost_usd is None or agent is None:
        return task.cost_usd
    return None if agent.cost_unknown else task.cost_usd + agent.cost_usd


def _callback(kernel: Kernel, task: Task) -> Envelope | None:
    if not (task.callback and task.address):
        return None
    more = {"trace": task.trace} if task.trace else {}
    return kernel.post.envelope(
        f"queue:{task.queue}", task.address, told(task), task_id=task.id,
        status="ok" if task.state == "completed" else "error", hops=task.hops + 1, **more,
    )  # fmt: skip


def told(task: Task) -> str:
    """Return the end of a task in words."""
    files = ["Files: " + ", ".join(task.artefacts)] if task.artefacts else []
    if task.state == "completed":
        return "\n\n".join([*filter(None, (task.result, _HOW.get(task.outcome, ""))), *files])
    nothing = "Nothing it said is on record." if task.outcome == "interrupted" else "It said nothing."
    words = f"Its last words:\n{task.result[-LAST:]}" if task.result else nothing
    again = f" after {task.attempt} attempts" if task.attempt > 1 else ""
    return "\n\n".join([f"{task.outcome}{again}: {task.error}", words, *files])


def plain(result: Any) -> str:
    """Return a result as text: as it is, or as JSON."""
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()
