"""The verbs on queues: show, pause, drain and open them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from aegis import Caller, Kernel, NotFound, Refused, report, verb
from aegis.errors import listed, nearest
from aegis_queue.broker import Broker
from aegis_queue.dispatcher import Dispatcher
from aegis_queue.rows import QueueRow, QueueSheet, TaskRow, row_of
from aegis_queue.sight import seen
from aegis_queue.task import Task
from aegis_queue.task_verbs import QueueName


class QueueVerbs:
    """The verbs on queues."""

    name = "queues"

    def __init__(self, kernel: Kernel, dispatcher: Dispatcher) -> None:
        self._kernel, self._dispatcher = kernel, dispatcher
        kernel.verbs.complete_with("queue", lambda: sorted(dispatcher.queues()))

    async def run(self) -> None:
        """Do the queues' work until cancelled."""
        await self._dispatcher.run()

    @verb("queue list", tool="aegis_list_queues", read_only=True)
    async def rows(self, caller: Caller) -> list[QueueRow]:
        """List the queues with their profile, limit, and number of tasks in each state."""
        broker = await self._dispatcher.broker()
        return [await self._row(broker, name) for name in sorted(self._dispatcher.queues())]

    @verb("queue show", read_only=True)
    async def show(
        self,
        caller: Caller,
        queue: QueueName,
        count: Annotated[int, Field(ge=1, le=1000, description="how many pending and ended tasks at most")] = 10,
    ) -> QueueSheet:
        """Show one queue: its running tasks, the next ones, and those that ended last."""
        self._known(queue)
        broker = await self._dispatcher.broker()
        return QueueSheet(
            await self._row(broker, queue), await self._shown(caller, await broker.running(queue)),
            await self._shown(caller, await broker.waiting(queue, count)),
            await self._shown(caller, await broker.newest(queue, count)),
        )  # fmt: skip

    @verb("queue pause", for_={"person", "program"})
    async def pause(self, caller: Caller, queue: QueueName) -> str:
        """Begin no further task of a queue until it is resumed; running tasks go on, new ones are accepted and wait.

        A pause outlasts a restart.
        """
        broker = await self._set(queue, "paused")
        return f"{queue} is paused; {(await broker.counts(queue))['running']} of its tasks go on"

    @verb("queue resume", for_={"person", "program"})
    async def resume(self, caller: Caller, queue: QueueName) -> str:
        """Let a queue that was paused or drained accept and begin tasks again."""
        broker = await self._set(queue, "open")
        waiting = (await broker.counts(queue))["pending"]
        return f"{queue} is open; {waiting} {'task waits' if waiting == 1 else 'tasks wait'}"

    @verb("queue drain", for_={"person", "program"})
    async def drain(self, caller: Caller, queue: QueueName) -> str:
        """Accept no new task in a queue and wait until its tasks have ended; it stays closed until it is resumed."""
        broker = await self._set(queue, "draining")
        while left := await self._left(broker, queue):
            if (mode := await broker.mode(queue)) != "draining":
                raise Refused(f"{queue} is {mode} again, with {left} tasks left; `aegis queue list` shows it")
            report(f"{left} {'task' if left == 1 else 'tasks'} left in {queue}")
            for task in await broker.running(queue) or await broker.waiting(queue, 1):
                await self._dispatcher.end_of(task.id)
                break
        return f"{queue} is empty and takes no task; `aegis queue resume {queue}` opens it again"

    async def _left(self, broker: Broker, queue: str) -> int:
        counts = await broker.counts(queue)
        return counts["running"] + counts["pending"]

    async def _set(self, queue: str, mode: str) -> Broker:
        self._known(queue)
        broker = await self._dispatcher.broker()
        await broker.set_mode(queue, mode)
        self._dispatcher.wake()
        return broker

    async def _shown(self, caller: Caller, tasks: Iterable[Task]) -> list[TaskRow]:
        return [row_of(task) for task in await seen(self._kernel, caller, tasks)]

    def _known(self, queue: str) -> None:
        queues = self._dispatcher.queues()
        if queue not in queues:
            raise NotFound(f"there is no queue {queue!r} (queues: {listed(queues)}).{nearest(queue, queues)}")

    async def _row(self, broker: Broker, name: str) -> QueueRow:
        settings, counts = self._dispatcher.queues()[name], await broker.counts(name)
        held = self._dispatcher.holds.reason(name)
        return QueueRow(
            name, settings.agent, await broker.mode(name), counts["running"], settings.max_parallel, counts["pending"],
            counts["completed"], counts["failed"], counts["cancelled"], held,
        )  # fmt: skip
