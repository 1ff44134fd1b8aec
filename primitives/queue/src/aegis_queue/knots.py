"""Workers that would wait for one another for ever, found before the task that ties the knot is taken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from aegis_queue.task import Task


def ties_a_knot(active: Iterable[Task], room: Mapping[str, int], new: Task) -> bool:
    """Return whether the new task could never begin, if nothing but what is known now happens.

    `room` is how many workers each queue may have. A worker keeps its place until the tasks are over on whose callback
    it waits; a task that is pending needs a place in its queue, and the tasks it names under `after` to be over.
    """
    tasks = {task.id: task for task in [*active, new]}
    workers = {task.worker: task.id for task in tasks.values() if task.state == "running"}
    waits: dict[str, int] = {}  # task → how many others must end first
    held: defaultdict[str, list[str]] = defaultdict(list)  # task → those that wait for its end
    shut: defaultdict[str, list[str]] = defaultdict(list)  # queue without a place → those that need one
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
    while ready:  # whoever waits for nothing ends, and lets others go on; what begins now waits for nobody
        task = tasks[ready.pop()]
        if task.state != "running" and free[task.queue] < 1:
            shut[task.queue].append(task.id)
            continue
        if task.id == new.id:
            return False
        if task.state == "running":
            free[task.queue] += 1
            ready += shut.pop(task.queue, ())
        for other in held[task.id]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return True
