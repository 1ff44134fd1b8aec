"""Whether tasks may begin: the question to the interceptors, and what a queue waits for when the answer is to hold."""

from __future__ import annotations

from collections.abc import Callable

import trio

from aegis import Hold, Kernel, Refused, Work
from aegis_queue.settings import QueueSettings
from aegis_queue.task import Task


def work_of(task: Task, settings: QueueSettings, *, only_ask: bool = False) -> Work:
    """Return the task as interceptors see it."""
    budgets = [entry.model_dump(exclude_none=True) for entry in settings.budgets]
    return Work(
        kind="task", id=task.id, place=task.queue, profile=settings.agent, caller=task.queue_caller,
        terms={"budgets": budgets} if budgets else {}, only_ask=only_ask,
    )  # fmt: skip


async def ask(kernel: Kernel, work: Work) -> Hold | None:
    """Return None when the work may begin, or why it must wait; raises `Refused` when it may not begin at all."""
    hold = await kernel.interceptors.admit(work)
    if hold is None and (lost := work.terms.keys() - work.kept):
        await kernel.interceptors.tell("release", work)
        what = f"queue {work.place!r} has {' and '.join(sorted(lost))}"
        raise Refused(f"{what}, and nothing here can hold them; install aegis-budget or remove them")
    return hold


class Holds:
    """The queues that hold their tasks back, and why; one is asked about again when its hold changes or is over."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._holds: dict[str, Hold] = {}

    def reason(self, queue: str) -> str:
        """Return why the queue holds its tasks back, empty when it does not."""
        hold = self._holds.get(queue)
        return hold.reason if hold else ""

    def until(self, queue: str) -> str:
        """Return until when the queue holds its tasks back, empty when no time is known, or it does not."""
        hold = self._holds.get(queue)
        return hold.until if hold else ""

    def blocks(self, queue: str, now: str) -> bool:
        """Return whether asking again would be of no use yet."""
        hold = self._holds.get(queue)
        return hold is not None and (hold.until > now or (not hold.until and hold.changed is not None))

    def clear(self, queue: str) -> None:
        """Hold nothing back any more."""
        self._holds.pop(queue, None)

    def keep(self, nursery: trio.Nursery, queue: str, hold: Hold) -> None:
        """Hold the queue's tasks back until then, or until the hold says that asking again helps."""
        self._holds[queue] = hold
        if hold.changed is not None:
            nursery.start_soon(self._watch, queue, hold, hold.changed)

    def ask_again(self) -> None:
        """Ask about every held queue again: who held it may be gone, or may hold it no more."""
        self._holds = {queue: Hold(hold.reason) for queue, hold in self._holds.items()}
        self._wake()

    async def _watch(self, queue: str, hold: Hold, changed: trio.Event) -> None:
        await changed.wait()
        if self._holds.get(queue) is hold:
            self._holds[queue] = Hold(hold.reason)  # the reason is shown until the answer is another
            self._wake()
