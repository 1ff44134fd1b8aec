"""One running task: a worker is started, gets the payload, and is watched until the task has ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import trio

from aegis import Kernel, LaunchError, NotFound, Refused, finish_despite_cancel
from aegis.agent import INTERRUPTED, Agent
from aegis.bus import Subscription
from aegis.clock import stamp
from aegis.events import AgentChanged, Gap, TurnEnded
from aegis.ledger import Draft
from aegis_queue.admission import work_of
from aegis_queue.broker import Broker
from aegis_queue.ending import LAST, End, finish, plain, spent_on
from aegis_queue.outbox import send
from aegis_queue.schema import UnjudgedResult, fitted, within
from aegis_queue.settings import QueuePluginSettings, QueueSettings
from aegis_queue.task import Outcome, Task

BY = "queue:"  # what the roster has as the origin of a worker, before the queue's name
_OVERLOADED = re.compile(r"\b(429|503|529)\b|overloaded|rate.?limit|too many requests|quota", re.IGNORECASE)
_PAUSE, _PAUSES, _LONGEST = 30.0, 6, 3600.0  # seconds before going on, how often, and the longest wait
_GIVING_BACK = 2.0  # seconds for giving a task back though everything stops
_FAILED: dict[str, Outcome] = {"refused": "refused", "interrupted": "interrupted"}
_GO_ON = "The provider could not answer ({why}). Go on with task#{id} where you were; do nothing twice."
_BACKGROUND = "What you had running beside your turns is over. Say the final result of task#{id}."
_REPAIR = (
    "task#{id} is not done: {wrong}. Call `aegis_report` with a result that fits now, or say nothing but that; "
    "this is the only chance.\n{schema}"
)


class Job:
    """The work on one task, from its queue to its end, or back into the queue."""

    def __init__(
        self,
        kernel: Kernel,
        broker: Broker,
        task: Task,
        settings: QueueSettings,
        limits: Callable[[], QueuePluginSettings],
    ) -> None:
        self._kernel, self._broker, self.task, self._settings = kernel, broker, task, settings
        self._limits = limits
        self._scope = trio.CancelScope()
        self._stopped = ""
        self._pauses = 0
        self._former = ""  # the worker's last turn before aegis was started again
        self._background = False
        self.cut_off = False  # aegis is stopping, and with it the worker
        self.finished = False  # the task has ended or is back in its queue; only its worker is still to be closed
        self.over = trio.Event()

    def stop(self, why: str) -> None:
        """End the task as cancelled; `over` says when that is done."""
        self._stopped = self._stopped or why
        self._scope.cancel()

    async def run(self) -> None:
        """Bring the task to its end, or back into its queue, and close the worker."""
        try:
            with self._scope:
                with trio.move_on_after(self._left()) as limit:
                    end = await self._attempt()
                if limit.cancelled_caught:
                    done = (await self._broker.find(self.task.id)).report is not None
                    why = f"it took longer than {self._limit:g} s"
                    end = End("ok" if done else "timed_out", await self._words(), why)
            if self._scope.cancelled_caught:
                end = End("cancelled", await self._words(), self._stopped)
            await self._finish(end)
        finally:
            if not self.finished:
                async with finish_despite_cancel(_GIVING_BACK):
                    await self._broker.put_back(self.task)
            self.over.set()

    # -- one attempt --------------------------------------------------------------------------------------------

    async def _attempt(self) -> End:
        await trio.lowlevel.checkpoint_if_cancelled()  # who begins it may not have heard yet that everything stops
        if self.task.state == "pending":
            try:
                await self._start_worker()
            except (LaunchError, Refused) as error:
                return End("error", error=str(error))
            ended = await self._kernel.post.wait_turn(self.task.envelope)
        else:
            ended = await self._resume()
            self._former = ended.turn
        while True:
            end = await self._judged(ended)
            if isinstance(end, End):
                return end
            ended = end

    async def _resume(self) -> TurnEnded:
        """Return how the worker's last turn ended, which may be another than the one we gave it."""
        post = self._kernel.post
        try:
            ended = await post.wait_turn(self.task.envelope)
        except NotFound:  # it was refused when the outbox was sent: the worker had gone
            return TurnEnded("failed", reason="its worker was gone before it got the task")
        for letter in post.letters(self.task.worker):
            if letter.state == "injected":
                ended = await post.wait_turn(letter.envelope.id)
        return await self._newest(ended)

    async def _start_worker(self) -> None:
        """Start a worker whose record, first mail and task are stored together."""
        await self._kernel.roster.spawn(self._settings.agent, self._handle(), self.task.queue_caller, self._store)

    async def _store(self, agent: Agent, record: Draft) -> None:
        task, post = self.task, self._kernel.post
        more = {"trace": task.trace} if task.trace else {}
        body = task.payload + (f"\n\nThe result must fit this JSON schema: {_json(task)}" if task.schema else "")
        letter = post.envelope(task.enqueued_by, agent.id, body, task_id=task.id, hops=task.hops, **more)
        now = stamp(self._kernel.clock.now())
        self.task = await self._broker.begin(
            task, letter, record, worker=agent.id, worker_handle=agent.handle, envelope=letter.id, started_at=now,
            attempt=task.attempt + 1,
        )  # fmt: skip
        if why := await send(self._kernel, self._broker, task.id):
            raise Refused(why)

    def _handle(self) -> str:
        words = "-".join(re.split("[-_]", self.task.queue)[:2])
        born = self._kernel.roster.born
        names = (f"{words[:30]}-{self.task.id[-size:].lower()}" for size in (4, 6, 8))
        free = (name for name in names if born(f"agent:{name}") is None)
        return next(free, f"{words[:20]}-{self.task.id[8:].lower()}")

    async def _judged(self, ended: TurnEnded) -> End | TurnEnded:
        """Return the end of the attempt, or the end of the worker's next turn when there is more to come."""
        self.task, post = await self._broker.find(self.task.id), self._kernel.post
        agent, handle = self._kernel.roster.get(self.task.worker), self.task.worker_handle
        if self.task.report is not None:
            return End("ok", ended.reply)
        if agent is None and ended.outcome == "interrupted" and (why := self._kernel.roster.absent.get(handle)):
            return End("interrupted", await self._recorded(), f"its worker cannot come back: {why}")
        if agent is None or self._gone():
            why = (agent.end_reason if agent else ended.reason) or "its worker is gone"
            return End("cancelled", ended.reply, why)
        if self._overloaded(ended) and self._pauses < _PAUSES:
            await self._rest(min(_PAUSE * 2**self._pauses, _LONGEST))
            self._pauses += 1
            newest = await self._newest(ended)
            return newest if newest is not ended else await self._say(_GO_ON.format(why=ended.reason, id=self.task.id))
        if ended.outcome in ("failed", "refused", "interrupted"):
            self.cut_off = ended.outcome == "interrupted" and ended.turn != self._former
            words = ended.reply or (await self._recorded() if ended.outcome == "interrupted" else "")
            return End(_FAILED.get(ended.outcome, "error"), words, ended.reason or ended.outcome)
        if letters := post.letters(agent.id):
            return await post.wait_turn(letters[-1].envelope.id)
        if ended.outcome == "cancelled":
            return End("cancelled", ended.reply, ended.reason or "its worker was interrupted")
        if agent.expecting:
            self._background = self._background or "background" in agent.expecting
            with self._kernel.bus.subscribe(only=(AgentChanged,)) as news:
                await self._change(news)
            return await self._newest(ended)
        if self._background:
            self._background = False
            return await self._say(_BACKGROUND.format(id=self.task.id))
        if self.task.schema:
            return await self._fitted(ended)
        try:
            within(self._limits(), self.task, ended.reply)
        except Refused as refusal:
            return End("error", ended.reply[-LAST:], str(refusal))
        if ended.outcome == "truncated":
            return End("truncated", ended.reply)
        return End("ok" if ended.reply.strip() else "silent", ended.reply)

    async def _fitted(self, ended: TurnEnded) -> End | TurnEnded:
        """Take the last message for the result if it fits the schema; if not, ask for one, once."""
        once, wrong = f"{self.task.envelope}-repair", "no result was handed in"
        try:
            if ended.reply.strip():
                within(self._limits(), self.task, ended.reply)
                return End("ok", plain(await fitted(self.task, ended.reply)))
        except UnjudgedResult as refusal:  # another result would not be judged either
            return End("error", ended.reply[-LAST:], str(refusal))
        except Refused as refusal:
            wrong = str(refusal)
        try:
            self._kernel.post.find(once)
        except NotFound:
            return await self._say(_REPAIR.format(id=self.task.id, wrong=wrong, schema=_json(self.task)), once)
        return End("error", ended.reply[-LAST:], f"{wrong}, also when it was asked again")

    async def _recorded(self) -> str:
        """Return the last recorded words of a worker whose turn ran when aegis died."""
        try:
            words = await self._kernel.verbs.call(self.task.queue_caller, "last-words", {"handle": self.task.worker})
        except Refused:  # aegis-records is not here
            return ""
        return str(words)

    async def _change(self, news: Subscription) -> None:
        """Return once something about the worker may have changed."""
        async for batches in news:
            for agent_id, events, _ in batches:
                if agent_id == self.task.worker or any(isinstance(event, Gap) for event in events):
                    return

    async def _rest(self, seconds: float) -> None:
        """Let so much time pass, unless the worker is closed meanwhile."""
        with trio.move_on_after(seconds), self._kernel.bus.subscribe(only=(AgentChanged,)) as news:
            while not self._gone():
                await self._change(news)

    def _gone(self) -> bool:
        agent = self._kernel.roster.get(self.task.worker)
        return agent is None or agent.end_reason not in ("", INTERRUPTED)

    async def _newest(self, known: TurnEnded) -> TurnEnded:
        """Return the end of the worker's newest turn, which the queue may not have caused."""
        newest = await self._kernel.post.turns(self.task.worker, count=1)
        return newest[0].ended if newest and newest[0].ended.turn != known.turn else known

    def _overloaded(self, ended: TurnEnded) -> bool:
        wait = self._settings.on_overload == "wait" and ended.outcome == "failed"
        return wait and bool(_OVERLOADED.search(ended.reason))

    async def _say(self, words: str, once: str = "") -> TurnEnded:
        task, post = self.task, self._kernel.post
        more = {"trace": task.trace} if task.trace else {}
        letter = post.envelope(BY + task.queue, task.worker, words, task_id=task.id, hops=task.hops, **more)
        letter = msgspec.structs.replace(letter, id=once) if once else letter
        try:
            await post.deliver(letter)
        except Refused as refusal:
            return TurnEnded("failed", reason=str(refusal))
        return await post.wait_turn(letter.id)

    # -- its end ------------------------------------------------------------------------------------------------

    @property
    def _limit(self) -> float:
        return self.task.timeout or self._settings.timeout

    def _left(self) -> float:
        if not self.task.started_at:
            return self._limit
        began = datetime.fromisoformat(self.task.started_at)
        spent = (self._kernel.clock.now() - began).total_seconds()
        return min(max(self._limit - spent, 0), self._limit)

    async def _words(self) -> str:
        agent = self._kernel.roster.get((await self._broker.find(self.task.id)).worker)
        return str(agent.turn.reply) if agent and agent.turn else ""

    async def _finish(self, end: End) -> None:
        task = await self._broker.find(self.task.id)
        agent = self._kernel.roster.get(task.worker)
        attempt = task.attempt if task.state == "running" else task.attempt + 1
        if end.outcome in self._settings.retry_on and attempt <= self._settings.retries:
            wait = min(self._settings.backoff * 2 ** (attempt - 1), _LONGEST)
            due = stamp(self._kernel.clock.now() + timedelta(seconds=wait))
            error = f"attempt {attempt} {end.outcome}: {end.error}"
            self.task = await self._broker.requeue(
                task, not_before=due, attempt=attempt, error=error, cost_usd=spent_on(task, agent)
            )
        else:
            self.task = await finish(self._kernel, self._broker, task, end, attempt)
        self.finished = True
        await self._kernel.interceptors.tell("release", work_of(task, self._settings))
        if agent:
            await self._kernel.roster.close(agent, f"task {task.id} of {task.queue}: {end.outcome}")


def _json(task: Task) -> str:
    return msgspec.json.encode(task.schema).decode()
