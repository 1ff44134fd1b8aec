"""The verbs on tasks: enqueue, show, wait, cancel, retry, and the report of a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from pydantic import Field

from aegis import AegisError, Caller, Completes, Kernel, NotFound, Refused, report, verb
from aegis.clock import new_id, stamp
from aegis.errors import listed, nearest
from aegis.mailbox import Mailbox
from aegis_permission.acts import blind
from aegis_queue.admission import ask, work_of
from aegis_queue.broker import Broker
from aegis_queue.deadlocks import involved, would_deadlock
from aegis_queue.dispatcher import Dispatcher
from aegis_queue.rows import Enqueued, TaskRow, TaskStatus, row_of
from aegis_queue.schema import checked, fitted, within
from aegis_queue.settings import QueueSettings
from aegis_queue.sight import seen, waiting_seen
from aegis_queue.task import Report, Task

QueueName = Annotated[str, Completes("queue"), Field(description="which queue")]
YEAR = 366 * 86_400  # seconds; beyond it nothing has a date
_ALIKE = 10  # tasks that are counted when the end of an id is that of many
TaskId = Annotated[str, Completes("task"), Field(description="a task's id; the end of it is enough")]


class TaskVerbs:
    """The verbs on tasks."""

    name = "tasks"

    def __init__(self, kernel: Kernel, dispatcher: Dispatcher) -> None:
        self._kernel, self._dispatcher = kernel, dispatcher
        kernel.verbs.complete_with("task", dispatcher.watching.ids)

    @verb("enqueue", tool="aegis_enqueue")
    async def enqueue(
        self,
        caller: Caller,
        queue: QueueName,
        payload: Annotated[str, Field(description="the task in words: all that the worker is told")],
        callback: Annotated[bool, Field(description="send me a message when it has ended")] = True,
        priority: Annotated[int, Field(ge=-100, le=100, description="tasks of a higher priority begin first")] = 0,
        delay: Annotated[float, Field(ge=0, le=YEAR, description="seconds before it may begin")] = 0,
        key: Annotated[str, Field(description="idempotency key: an enqueue with a known key returns that task")] = "",
        after: Annotated[
            tuple[str, ...], Field(max_length=100, description="ids of tasks that must be completed before it")
        ] = (),
        timeout: Annotated[float | None, Field(gt=0, le=YEAR, description="seconds for one attempt")] = None,  # noqa: ASYNC109
        result_schema: Annotated[dict[str, Any] | None, Field(description="JSON schema of the result")] = None,
    ) -> Enqueued:
        """Hand a task to a queue, where a worker of its own does it; the task is on disk when this returns.

        For agents:
        The payload is all that the worker knows, so say everything. Do not wait or ask again: how it ended comes to
        you as a message with `task#ID`.
        """
        settings = self._known(queue)
        await self._kernel.roster.may_spawn(caller, settings.agent)  # nobody gets more through a queue than by itself
        address = {"agent": caller.agent_id, "person": str(caller)}.get(caller.class_, "")
        broker = await self._dispatcher.broker()
        key = f"agents:{key}" if key and caller.agent_id else key  # no agent takes a person's key in advance
        if same := await broker.with_key(queue, key) if key else None:
            return await self._known_already(broker, same, address)
        limits = self._dispatcher.limits
        if not payload.strip() or len(payload) > limits.max_payload:
            raise Refused(
                f"the payload has {len(payload):,} characters; it takes 1 to {limits.max_payload:,} "
                "(plugins.queue.max_payload)"
            )
        if result_schema is not None:
            await checked(limits, result_schema)
        await self._check_open(broker, queue, settings)
        await self._check_room(caller, broker, queue, settings, payload)
        now = self._kernel.clock.now()
        task = Task(
            id=new_id(), queue=queue, payload=payload, enqueued_by=str(caller), enqueued_at=stamp(now), address=address,
            caller=msgspec.to_builtins(caller), callback=callback and bool(address), priority=priority, key=key,
            timeout=timeout, schema=result_schema,
            not_before=stamp(now + timedelta(seconds=delay)) if delay else "",
            after=tuple(dict.fromkeys([(await self._done_or_open(other)).id for other in after])),
            trace=caller.trace, hops=caller.hops + (caller.class_ == "agent"),
        )  # fmt: skip
        await self._check_deadlock(broker, task)
        await ask(self._kernel, work_of(task, settings, only_ask=True))
        stored, position = await broker.put(task)
        if stored.id != task.id:
            return await self._known_already(broker, stored, address)
        self._expect(stored)
        return Enqueued(stored.id, await self._place(broker, stored, position), queue, stored.callback)

    def _known(self, queue: str) -> QueueSettings:
        queues = self._dispatcher.queues()
        settings = queues.get(queue)
        if settings is None:
            raise NotFound(f"there is no queue {queue!r} (queues: {listed(queues)}).{nearest(queue, queues)}")
        self._kernel.config.profile(settings.agent)
        return settings

    async def _check_open(self, broker: Broker, queue: str, settings: QueueSettings) -> None:
        if await broker.mode(queue) == "draining":
            raise Refused(f"{queue} is being drained and takes no task; `aegis queue resume {queue}` opens it again")
        if settings.max_pending and (waiting := (await broker.counts(queue))["pending"]) >= settings.max_pending:
            raise Refused(
                f"{queue} is full: {waiting} tasks wait, and it takes {settings.max_pending}; try again later"
            )

    async def _check_room(
        self, caller: Caller, broker: Broker, queue: str, settings: QueueSettings, payload: str
    ) -> None:
        """Refuse an agent that fills the queue, and a payload that no worker could read in a turn."""
        post, most = self._kernel.post, settings.max_pending_by_agent
        if caller.agent_id and (own := await broker.owned(caller.agent_id, queue)) >= most:
            raise Refused(
                f"{own} of your tasks in {queue} are not over (queues.{queue}.max_pending_by_agent is {most}); "
                "wait for their ends"
            )
        if why := Mailbox(queue).full(post.envelope(str(caller), "", payload), post.limits):
            raise Refused(why)

    async def _known_already(self, broker: Broker, task: Task, address: str) -> Enqueued:
        """Answer an enqueue whose task is known; only the first caller is called back."""
        to_come = task.callback and not task.over and task.address == address
        return Enqueued(task.id, await broker.position(task), task.queue, to_come, known=True)

    async def _place(self, broker: Broker, task: Task, position: int) -> int:
        """Return the position of a task that has just been accepted: 0 when it begins at once."""
        may = await broker.mode(task.queue) == "open" and not (task.not_before or task.after)
        return 0 if may and position <= self._dispatcher.room(task.queue) else position

    async def _done_or_open(self, task_id: str) -> Task:
        other = await self._find(task_id)
        if other.state in ("failed", "cancelled"):
            raise Refused(f"task {other.id} is {other.state}, so what comes after it could never begin")
        return other

    async def _check_deadlock(self, broker: Broker, task: Task) -> None:
        """Refuse a task that a worker would wait for without end."""
        if task.callback and self._dispatcher.task_of(task.address):
            room = {name: settings.max_parallel for name, settings in self._dispatcher.queues().items()}
            if would_deadlock(await involved(broker, task), room, task):
                raise Refused(
                    f"every worker of {task.queue} would then wait for a task that has no worker left; do it yourself, "
                    "or hand it over with callback=false and do not wait"
                )

    def _expect(self, task: Task) -> None:
        """Show at the agent that is called back that the end of the task is still to come."""
        if task.callback and not task.over and (asker := self._kernel.roster.get(task.address)):
            asker.expect(f"task {task.id}", f"the end of task {task.id} in {task.queue}")

    @verb("task show", tool="aegis_task_status", read_only=True)
    async def show(self, caller: Caller, task_id: TaskId) -> TaskStatus:
        """Show one task: its status, its result or error, and its worker."""
        return await self._status(await self._seen(caller, task_id))

    @verb("task list", tool="aegis_task_list", read_only=True)
    async def rows(
        self,
        caller: Caller,
        queue: QueueName = "",
        count: Annotated[int, Field(ge=1, le=1000, description="how many at most")] = 30,
        dead: Annotated[bool, Field(description="only dead letters: failed tasks that were not retried")] = False,
    ) -> list[TaskRow]:
        """List running and pending tasks, then those that ended last."""
        broker = await self._dispatcher.broker()
        if dead:
            return [row_of(t) for t in (await seen(self._kernel, caller, await broker.dead(queue)))[:count]]
        running = sorted(await broker.running(queue), key=lambda t: t.rank)
        pending = await waiting_seen(self._kernel, caller, broker, queue, count)
        others = await seen(self._kernel, caller, [*running, *await broker.newest(queue, count)])
        there = [*others[: (began := sum(not t.over for t in others))], *pending, *others[began:]]
        return [row_of(t) for t in there[:count]]

    @verb("task wait", for_={"person", "program"}, checks=True)
    async def wait(self, caller: Caller, task_id: TaskId) -> str:
        """Wait until a task has ended and return its result; fails with the reason when there is none."""
        task, broker, said = await self._seen(caller, task_id), await self._dispatcher.broker(), ""
        with self._dispatcher.watching.watch(task.id) as watch:
            while not (task := await broker.find(task.id)).over:
                if said != (said := await self._progress(task)):
                    report(said)
                await watch.changed()
        if task.state != "completed":
            raise AegisError(f"task {task.id} {task.outcome}: {task.error}")
        return task.result

    @verb("task cancel", tool="aegis_task_cancel")
    async def cancel(self, caller: Caller, task_id: TaskId) -> str:
        """Cancel a task; its worker is closed, and its owner gets the callback."""
        task = self._mine(caller, await self._find(task_id), "cancel")
        if task.over:
            raise Refused(f"task {task.id} has ended already: {task.outcome}")
        ended = await self._dispatcher.cancel(task, f"cancelled by {caller}")
        if ended.state != "cancelled":  # it was over first
            raise Refused(f"task {ended.id} has ended already: {ended.outcome}")
        return f"task {ended.id} is cancelled"

    @verb("task retry", tool="aegis_task_retry")
    async def retry(self, caller: Caller, task_id: TaskId) -> Enqueued:
        """Put a failed or cancelled task back into its queue; it stays the act of who enqueued it."""
        task = self._mine(caller, await self._find(task_id), "retry")
        if task.state not in ("failed", "cancelled"):
            raise Refused(f"task {task.id} is {task.state}; only one that failed or was cancelled is tried again")
        return await self._again(task)

    @verb("queue requeue", for_={"person", "program"})
    async def requeue(self, caller: Caller, queue: QueueName) -> str:
        """Retry every dead letter of a queue, the oldest first."""
        self._known(queue)
        dead = await (await self._dispatcher.broker()).dead(queue)
        for task in reversed(dead):
            await self._again(task)
        return f"{len(dead)} {'task is' if len(dead) == 1 else 'tasks are'} back in {queue}"

    async def _again(self, task: Task) -> Enqueued:
        broker = await self._dispatcher.broker()
        settings = self._known(task.queue)
        await self._kernel.roster.may_spawn(task.owner, settings.agent)  # whoever tries it again
        await self._check_open(broker, task.queue, settings)
        fresh = {"attempt": 0, "not_before": "", "outcome": "", "error": "", "result": "", "completed_at": ""}
        await self._check_deadlock(broker, task.changed({"state": "pending"}))
        self._expect(task := await broker.requeue(task, **fresh))
        place = await self._place(broker, task, await broker.position(task))
        return Enqueued(task.id, place, task.queue, task.callback)

    @verb("task logs", read_only=True)
    async def logs(
        self,
        caller: Caller,
        task_id: TaskId,
        turns: Annotated[int, Field(ge=1, le=100, description="how many of its last turns")] = 5,
    ) -> str:
        """Show what the worker of a task read, said and did in its last turns."""
        task = await self._seen(caller, task_id)
        if not (worker := task.worker or task.former):
            raise Refused(f"no worker has begun task {task.id}; it is {task.state}")
        args = {"handle": worker, "turns": turns}
        text: str = await self._kernel.verbs.call(caller.through("queue", task.queue), "records turns", args)
        return text

    @verb("report", tool="aegis_report", for_={"agent"})
    async def report(
        self,
        caller: Caller,
        result: Annotated[Any, Field(description="text, or JSON that fits the task's schema")],
        artefacts: Annotated[tuple[str, ...], Field(max_length=100, description="paths of files you made")] = (),
    ) -> str:
        """Hand in the result of the task that this worker works at.

        For agents:
        End your turn after it. Without it, the last message of your turn is the result.
        """
        task = self._dispatcher.task_of(caller.agent_id)
        if task is None:
            raise Refused(f"{caller} does not work at a task; answer who wrote to you with aegis_handoff")
        broker = await self._dispatcher.broker()
        within(self._dispatcher.limits, task, result)
        fit = await fitted(task, result)
        if self._dispatcher.task_of(caller.agent_id) is None:  # it ended while the result was judged
            raise Refused(f"task {task.id} is over; its result is not needed any more")
        await broker.report(task, Report(fit, artefacts))
        return f"the result of task {task.id} is stored; end your turn"

    # -- looking ------------------------------------------------------------------------------------------------

    async def _find(self, task_id: str) -> Task:
        """Return the task of this id, or the one at hand whose id ends like this."""
        broker = await self._dispatcher.broker()
        try:
            return await broker.find(task_id)
        except NotFound:
            seen_last = (x for x in self._dispatcher.watching.ids() if x.lower().endswith(task_id.lower()))
            found = list(dict.fromkeys([*await broker.ids(task_id, _ALIKE), *seen_last])) if task_id else []
            if len(found) > 1:
                many = len(found) if len(found) < _ALIKE else f"{_ALIKE} or more"
                raise Refused(f"{many} tasks end with {task_id!r}; say more of the id") from None
            if not found:
                raise
            return await broker.find(found[0])

    async def _seen(self, caller: Caller, task_id: str) -> Task:
        """Return the task if the caller may read it; raises `Refused`, `NotFound`."""
        task = await self._find(task_id)
        if not await seen(self._kernel, caller, [task]):
            raise Refused(blind(f"task {task.id}"))
        return task

    async def _progress(self, task: Task) -> str:
        again = f", attempt {task.attempt}" if task.attempt > 1 else ""
        if task.state == "running":
            return f"{task.worker_handle} works at it{again}"
        status = await self._status(task)
        due = f", begins after {task.not_before}" if task.not_before else ""
        why = f"; {status.error or status.held}" if status.error or status.held else ""
        waits = f"it waits in {task.queue}, position {status.queued_position}"
        return f"{waits if status.queued_position else f'it begins in {task.queue}'}{due}{why}"

    def _mine(self, caller: Caller, task: Task, what: str) -> Task:
        if caller.agent_id and task.owner.agent_id != caller.agent_id:
            raise Refused(
                f"{caller} may {what} the tasks it handed over; {task.id} is {task.enqueued_by}'s. Ask a person."
            )
        return task

    async def _held(self, broker: Broker, task: Task) -> str:
        """Return why a pending task that could be the next one does not begin."""
        if task.state != "pending":
            return ""
        if task.queue not in self._dispatcher.queues():
            return f"there is no queue {task.queue!r} any more (queues: {listed(self._dispatcher.queues())})"
        paused = await broker.mode(task.queue) == "paused"
        return f"{task.queue} is paused" if paused else self._dispatcher.holds.reason(task.queue)

    async def _status(self, t: Task) -> TaskStatus:
        broker = await self._dispatcher.broker()
        waits = tuple([x for x in t.after if not (await broker.find(x)).over])
        return TaskStatus(
            t.id, t.queue, t.state, t.outcome, t.result, t.error, await broker.position(t), t.payload, t.enqueued_by,
            t.enqueued_at, t.started_at, t.completed_at, t.worker_handle, t.attempt, t.cost_usd, t.artefacts, waits,
            await self._held(broker, t), t.cost_usd is None,
        )  # fmt: skip
