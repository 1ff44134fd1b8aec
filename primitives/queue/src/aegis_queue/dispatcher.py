"""The dispatcher begins tasks as soon as they may begin, and never lets a queue have more workers than its limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import trio

from aegis import Hold, Kernel, Refused, finish_despite_cancel
from aegis.bus import Subscription
from aegis.clock import stamp
from aegis.events import ConfigChanged, PluginsChanged
from aegis_queue.admission import Holds, ask, work_of
from aegis_queue.broker import Broker
from aegis_queue.brokers import Brokers
from aegis_queue.checks import unusable
from aegis_queue.ending import End, finish
from aegis_queue.job import BY, Job
from aegis_queue.outbox import send
from aegis_queue.settings import QueuePluginSettings, QueueSettings
from aegis_queue.task import Task
from aegis_queue.watching import Watching

_STOPPING = 3.0  # seconds within which a stopping aegis is gone
_GIVING_BACK = 2.0  # seconds for giving a task back though everything stops
_BEFORE = 200  # tasks, and ended ones, whose ids are at hand from the start
_LEAST, _LOOK_AGAIN = 0.05, 60.0  # seconds between two looks at what is due by itself
_CONCERNS = (ConfigChanged, PluginsChanged)  # after which whoever held a queue may hold it no more


class Dispatcher:
    """Every queue of the project: which jobs run, and why a queue holds its tasks back."""

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any], brokers: Brokers) -> None:
        self._kernel, self._settings, self._brokers = kernel, settings, brokers
        self.broker = brokers.in_use
        self._jobs: set[Job] = set()
        self.holds, self.watching = Holds(self.wake), Watching()
        self._woken = trio.Event()
        self._full = set[str]()  # queues without a free place: one that becomes free wakes
        self._resting = -float("inf")  # begin nothing before this

    def queues(self) -> dict[str, QueueSettings]:
        """Return the queues as configured now."""
        found: dict[str, QueueSettings] = self._settings["queues"]
        return found

    @property
    def limits(self) -> QueuePluginSettings:
        """What a task may hold, as configured now."""
        found: QueuePluginSettings = self._settings["plugins.queue"]
        return found

    def room(self, queue: str) -> int:
        """Return how many more workers the queue may have now."""
        settings = self.queues().get(queue)
        return self._room(queue, settings) if settings else 0

    def _room(self, queue: str, settings: QueueSettings) -> int:
        busy = sum(job.task.queue == queue for job in self._jobs)  # one that only closes its worker is counted
        return max(0, settings.max_parallel - busy)

    def task_of(self, agent_id: str) -> Task | None:
        """Return the task that this agent works at, None when it works at none."""
        return next((j.task for j in self._jobs if agent_id and j.task.worker == agent_id and not j.finished), None)

    def wake(self) -> None:
        """Look again whether something may begin."""
        self._woken.set()

    def _changed(self, task: Task) -> None:
        if task.state == "pending" and (task.after or task.queue not in self._full):
            self._woken.set()
        self.watching.see(task)

    async def end_of(self, task_id: str) -> Task:
        """Wait until the task has ended and return it."""
        broker = await self.broker()
        with self.watching.watch(task_id) as watch:
            while not (task := await broker.find(task_id)).over:
                await watch.changed()
        return task

    async def cancel(self, task: Task, why: str) -> Task:
        """End the task as cancelled, wherever it is, and return it."""
        broker = await self.broker()
        with self.watching.watch(task.id) as watch:
            while not (task := await broker.find(task.id)).over:
                job = next((job for job in self._jobs if job.task.id == task.id and not job.finished), None)
                if await broker.take(task):
                    await self._finish(broker, task, End("cancelled", error=why))
                elif job:
                    job.stop(why)
                    await job.over.wait()
                    if job.task.over:
                        return (
                            job.task
                        )  # what happened to it since is not ours; else it had just gone back to its queue
                else:
                    await watch.changed()  # another call ends it at this moment, or a job begins it
        return task

    async def _finish(self, broker: Broker, task: Task, end: End) -> None:
        """End a task that was taken; it has its place again when that cannot be stored."""
        try:
            await finish(self._kernel, broker, task, end)
        finally:
            await _give_back(broker, task)

    # -- running ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on with the tasks that ran when aegis stopped, and begin tasks that may begin, until cancelled."""
        while True:
            async with self._brokers.open(self._kernel, self._changed) as broker:
                with self._kernel.bus.subscribe(only=_CONCERNS) as news:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._follow, news)
                        nursery.start_soon(self._work, broker, nursery)
                        await self._brokers.gone(self._kernel, broker)
                        nursery.cancel_scope.cancel()

    async def _work(self, broker: Broker, nursery: trio.Nursery) -> None:
        await self._take_up(broker, nursery)
        while True:
            self._woken = trio.Event()
            await self._round(broker, nursery)
            with trio.move_on_after(await self._pause(broker)):
                await self._woken.wait()

    async def _take_up(self, broker: Broker, nursery: trio.Nursery) -> None:
        """Do what the last aegis left undone: send what it recorded, watch its workers, close those without a task."""
        await send(self._kernel, broker)
        nursery.start_soon(self._know, broker)
        for task in (running := await broker.running()):
            self.watching.see(task)
            self._start(broker, nursery, task, self.queues().get(task.queue) or QueueSettings(agent=""))
        for agent_id in await broker.agents():
            if asker := self._kernel.roster.get(agent_id):
                for task in await broker.of(agent_id):
                    if task.callback and task.address == agent_id:
                        asker.expect(f"task {task.id}", f"the end of task {task.id} in {task.queue}")
        await self._tidy({task.worker for task in running})

    async def _know(self, broker: Broker) -> None:
        """Have ids at hand of tasks that wait and of those that ended last."""
        for task_id in await broker.ids("", _BEFORE):
            self.watching.know(task_id)
        for task in reversed(await broker.newest("", _BEFORE)):
            self.watching.see(task)

    def _start(self, broker: Broker, nursery: trio.Nursery, task: Task, settings: QueueSettings) -> None:
        self._jobs.add(job := Job(self._kernel, broker, task, settings, lambda: self.limits))
        nursery.start_soon(self._run, job)

    async def _run(self, job: Job) -> None:
        try:
            await job.run()
        finally:
            if job.cut_off:  # what a stopping aegis leaves undone is for the next one
                self._resting = trio.current_time() + _STOPPING
            self._jobs.discard(job)
            self._full.discard(job.task.queue)
            self._woken.set()

    async def _tidy(self, working: set[str]) -> None:
        """Close workers without a task: aegis died before one got its task, or before it was closed."""
        async with trio.open_nursery() as nursery:
            for agent in self._kernel.roster:
                if agent.by.startswith(BY) and agent.id not in working:
                    nursery.start_soon(self._kernel.roster.close, agent, "its task is over")

    async def _follow(self, news: Subscription) -> None:
        async for _ in news:
            self.holds.ask_again()

    async def _round(self, broker: Broker, nursery: trio.Nursery) -> None:
        if self._rest() > 0:
            return
        for blocked, other in await broker.blocked():
            if await broker.take(blocked):
                why = f"task {other}, which it waits for, has no result: {(await broker.find(other)).outcome}"
                await self._finish(broker, blocked, End("dependency", error=why))
        for name, settings in self.queues().items():
            while (room := self._room(name, settings)) and (task := await self._next(broker, name)):
                if (hold := await self._admitted(task, settings)) is not None:
                    self.holds.keep(nursery, name, hold)
                    break
                self.holds.clear(name)
                if not await self._begin(broker, nursery, task, settings):
                    await self._kernel.interceptors.tell("release", work_of(task, settings))
            (self._full.discard if room else self._full.add)(name)

    def _rest(self) -> float:
        """Return for how many more seconds nothing begins: a wait for the disk or for an answer may have ended late."""
        return self._resting - trio.current_time()

    async def _begin(self, broker: Broker, nursery: trio.Nursery, task: Task, settings: QueueSettings) -> bool:
        """Start the task's job and return True; False when it was cancelled meanwhile, or its queue paused."""
        if self._rest() > 0 or not (self._room(task.queue, settings) and await broker.take(task)):
            return False
        started = False
        try:
            if await broker.mode(task.queue) != "paused":
                self._start(broker, nursery, await broker.find(task.id), settings)
                started = True
        finally:
            if not started:
                await _give_back(broker, task)
        return started

    async def _next(self, broker: Broker, queue: str) -> Task | None:
        now = stamp(self._kernel.clock.now())
        if self._rest() > 0 or await broker.mode(queue) == "paused" or self.holds.blocks(queue, now):
            return None
        task = await broker.first(queue, now)
        if task is None:
            self.holds.clear(queue)
        return task

    async def _admitted(self, task: Task, settings: QueueSettings) -> Hold | None:
        """Return None when the task may begin, or why its queue has to wait."""
        if why := unusable(self._kernel, settings):  # until another configuration, or another plugin, is here
            return Hold(why)
        try:
            return await ask(self._kernel, work_of(task, settings))
        except Refused as refusal:  # what is wrong is not the task: it waits until somebody has corrected it
            return Hold(str(refusal))

    async def _pause(self, broker: Broker) -> float:
        """Return the seconds until something becomes due by itself, a minute at most: a clock can be set."""
        if (rest := self._rest()) > 0:
            return rest
        now, dues = self._kernel.clock.now(), set[str]()
        for name, settings in self.queues().items():
            if self._room(name, settings) and await broker.mode(name) != "paused":
                dues.add(self.holds.until(name) if self.holds.reason(name) else await broker.due(name))
        times = [datetime.fromisoformat(due) for due in dues - {""}]
        left = min(((t - now).total_seconds() for t in times), default=float("inf"))
        return left if left == float("inf") else min(max(left, _LEAST), _LOOK_AGAIN)


async def _give_back(broker: Broker, task: Task) -> None:
    async with finish_despite_cancel(_GIVING_BACK):
        await broker.put_back(task)
