"""Workers that would wait for one another for ever, found before the task that ties the knot is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aegis_queue.task import Task


def ties_a_knot(active: Iterable[Task], room: Mapping[str, int], new: Task) -> bool:
    """Return whether the new task could never run, if nothing but what is known now happens.

    `room` is how many workers each queue may have. A worker keeps its place until the tasks are over on whose callback
    it waits; a task that is pending needs a place in its queue, and the tasks it names under `after` to be over.
    """
    tasks = {task.id: task for task in [*active, new]}
    running = {task.id for task in tasks.values() if task.state == "running"}
    done: set[str] = set()

    def free_to_end(task: Task) -> bool:
        return not any(t.callback and t.address == task.worker != "" and t.id not in done for t in tasks.values())

    moved = True
    while moved and new.id not in running:
        ending = {x for x in running if free_to_end(tasks[x])}
        running -= ending
        done |= ending
        moved = bool(ending)
        for task in sorted(tasks.values(), key=lambda t: t.rank):
            known = [other for other in task.after if other in tasks]
            waits = task.id not in running | done and all(other in done for other in known)
            if waits and sum(tasks[x].queue == task.queue for x in running) < room.get(task.queue, 0):
                running.add(task.id)
                moved = True
    return new.id not in running
