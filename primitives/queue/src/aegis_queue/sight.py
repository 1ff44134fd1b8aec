"""Which tasks a caller may read: those that it, or an agent whose things it sees, handed over or works at."""

from __future__ import annotations

from collections.abc import Iterable

from aegis import Caller, Kernel
from aegis_permission.acts import sees, sees_all
from aegis_queue.broker import Broker
from aegis_queue.task import Task


async def seen(kernel: Kernel, caller: Caller, tasks: Iterable[Task]) -> list[Task]:
    """Return those of the tasks that the caller may read."""
    if not caller.agent_id or sees_all(kernel, caller.agent_id):
        return list(tasks)
    known: dict[tuple[str, ...], bool] = {}
    found = []
    for task in tasks:
        whose = (task.agent, task.worker, task.former)
        if whose not in known:
            known[whose] = await sees(kernel, caller, whose)
        if known[whose]:
            found.append(task)
    return found


async def waiting_seen(kernel: Kernel, caller: Caller, broker: Broker, queue: str, count: int) -> list[Task]:
    """Return the pending tasks that stand first, in one queue or in all, among those that the caller may read."""
    if not caller.agent_id or sees_all(kernel, caller.agent_id):
        return await broker.waiting(queue, count)
    found: dict[str, Task] = {}
    for agent in await broker.agents():
        if await sees(kernel, caller, [agent]):
            found |= {task.id: task for task in await broker.of(agent)}
    pending = (task for task in found.values() if task.state == "pending" and queue in ("", task.queue))
    return sorted(pending, key=lambda task: task.rank)[:count]
