"""Deadlocks between workers that wait for one another, found before the task that would close the circle is taken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from aegis_queue.broker import Broker
from aegis_queue.task import Task


async def involved(broker: Broker, new: Task) -> list[Task]:
    """Return the active tasks that can keep the new one from beginning, however many others wait.

    A pending task for which nobody waits holds nothing: it takes a place in its queue only to give it back.
    """
    found = {task.id: task for task in await broker.running()}
    for worker in [task.worker for task in found.values()]:
        found |= {task.id: task for task in await broker.of(worker)}
    others = [other for task in [*found.values(), new] for other in task.after]
    while others:
        if (other := others.pop()) not in found and not (task := await broker.find(other)).over:
            found[other] = task
            others += task.after
    return list(found.values())


def would_deadlock(active: Iterable[Task], room: Mapping[str, int], new: Task) -> bool:
    """Return whether the new task could never begin, if nothing but what is known now happens.

    `room` is how many workers each queue may have. A worker keeps its place until the tasks are over on whose callback
    it waits; a task that is pending needs a place in its queue, and the tasks it names under `after` to be over.
    """
    tasks = {task.id: task for task in [*active, new]}
    workers = {task.worker: task.id for task in tasks.values() if task.state == "running"}
    waits: dict[str, int] = {}  # task → how many others must end first
    held: defaultdict[str, list[str]] = defaultdict(list)  # task → those that wait for its end
    full: defaultdict[str, list[str]] = defaultdict(list)  # queue without a free place → tasks that need one
    free = Counter(room)
    for task in tasks.values():
        waits.setdefault(task.id, 0)
        if task.state == "running":
            free[task.queue] -= 1
        else:
            for other in filter(tasks.__contains__, task.after):
                held[other].append(task.id)
                waits[task.id] += 1
        if task.callback and (parent := workers.get(task.address)):
            held[task.id].append(parent)
            waits[parent] = waits.get(parent, 0) + 1
    ready = [task_id for task_id, count in waits.items() if not count]
    while ready:  # a task that waits for nothing ends, and others go on; what begins now waits for nothing
        task = tasks[ready.pop()]
        if task.state != "running" and free[task.queue] < 1:
            full[task.queue].append(task.id)
            continue
        if task.id == new.id:
            return False
        if task.state == "running":
            free[task.queue] += 1
            ready += full.pop(task.queue, ())
        for other in held[task.id]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return True
