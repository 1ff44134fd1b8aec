"""The broker inside the kernel: one book of the ledger; finished tasks stay on disk only.

Book `queue` (key: task): `enqueued` → `dispatched` → [`reported`] → `completed` | `failed` | `cancelled`, with the end
`callback_attempted` or `callback_dropped`; or `requeued` and again. `known` (key: queue and idempotency key) and
`control` (key: queue).
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import reduce
from itertools import islice
from typing import Any

import msgspec
import trio

from aegis import Envelope, Kernel, NotFound, Refused
from aegis.ledger import Book, Draft, Record
from aegis_queue.broker import Outgoing
from aegis_queue.outbox import short_of
from aegis_queue.pending import Pending
from aegis_queue.task import STATES, Report, Task

_RECENT = 50  # finished tasks of a queue whose ids are at hand
_DEAD = 1_000  # the same of those that failed
_BESIDE = ("known", "callback_attempted", "callback_dropped")  # records that change no task


class LedgerBroker:
    """See `broker.Broker`. A message is appended together with the step that causes it, so there is no outbox."""

    name = "ledger"

    _kernel: Kernel
    _book: Book
    _changed: Callable[[Task], None]

    def __init__(self) -> None:
        self._active: dict[str, Task] = {}
        self._waiting: dict[str, Pending] = {}
        self._needs: dict[str, set[str]] = {}  # task → unfinished tasks it waits for
        self._needed: dict[str, list[str]] = {}  # task → tasks that wait, or waited, for it
        self._blocked: dict[str, str] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._recent: dict[str, deque[str]] = {}
        self._dead: dict[str, dict[str, None]] = {}
        self._modes: dict[str, str] = {}
        self._taken: set[str] = set()
        self._ending: dict[str, Task] = {}  # what is being ended, and then how it was stored
        self._coming: dict[str, trio.Event] = {}  # idempotency keys and revived tasks that the disk works at
        self._live = False

    @asynccontextmanager
    async def open(self, kernel: Kernel, changed: Callable[[Task], None]) -> AsyncIterator[None]:
        """Fold the book, once."""
        self._changed = changed
        if not self._live:
            self._kernel, self._book = kernel, kernel.ledger.book("queue")
            self._book.fold(self._begin, self._apply, self._state)
            for task in self._active.values():
                self._place(task)
            self._live = True
        yield

    # -- the fold -----------------------------------------------------------------------------------------------

    def _begin(self, snapshot: Any) -> None:
        self._active = {t["task_id"]: msgspec.convert(t, Task) for t in snapshot["active"]}
        self._counts = {queue: Counter(counts) for queue, counts in snapshot["counts"].items()}
        self._recent = {queue: deque(ids, _RECENT) for queue, ids in snapshot["recent"].items()}
        self._dead = {queue: dict.fromkeys(ids) for queue, ids in snapshot["dead"].items()}
        self._modes = snapshot["modes"]

    def _state(self) -> Any:
        recent = {queue: list(ids) for queue, ids in self._recent.items()}
        dead = {queue: list(ids) for queue, ids in self._dead.items()}
        state = {"active": list(self._active.values()), "counts": self._counts, "modes": self._modes}
        return state | {"recent": recent, "dead": dead}

    def _apply(self, record: Record) -> None:
        if record.kind in _BESIDE:
            return
        if record.kind == "control":
            self._modes[record.key] = record.data["mode"]
            return
        old = self._active.get(record.key)
        if record.kind == "enqueued":
            task = _enqueued(record)
        elif old or record.kind == "requeued":  # a task that had ended may be wanted again
            old = old or self._folded(record.key, record.seq - 1)
            task = _after(old, record)
        else:
            return
        if task is old:
            return
        counts = self._counts.setdefault(task.queue, Counter())
        if old:
            counts[old.state] -= 1
        counts[task.state] += 1
        self._active[task.id] = task
        self._dead.setdefault(task.queue, {}).pop(task.id, None)
        if task.over:
            self._over(task)
        elif self._live:
            self._place(task)
        if self._live:
            self._changed(task)

    def _over(self, task: Task) -> None:
        if task.id in self._ending:
            self._ending[task.id] = task
        del self._active[task.id]
        self._pending(task.queue).drop(task.id)
        self._needs.pop(task.id, None)
        self._blocked.pop(task.id, None)
        self._taken.discard(task.id)
        self._recent.setdefault(task.queue, deque(maxlen=_RECENT)).append(task.id)
        if task.state == "failed":
            dead = self._dead[task.queue]
            dead[task.id] = None
            if len(dead) > _DEAD:
                del dead[next(iter(dead))]
        for waiting in self._needed.pop(task.id, ()):
            if task.id in self._needs.get(waiting, ()):
                self._met(waiting, task)

    def _place(self, task: Task) -> None:
        """Put a task where it belongs: among those that may begin when it is pending and waits for no other."""
        self._taken.discard(task.id)
        if task.state != "pending":
            self._pending(task.queue).drop(task.id)
            return
        waits = {other for other in task.after if other in self._active}
        for other in set(task.after) - waits:
            if self._find(other).state != "completed":
                self._blocked[task.id] = other
        if waits:
            self._needs[task.id] = waits
            for other in waits:
                self._needed.setdefault(other, []).append(task.id)
        elif task.id not in self._blocked:
            self._pending(task.queue).put(task)

    def _met(self, waiting: str, other: Task) -> None:
        """Take in the end of a task that another one waits for."""
        self._needs[waiting].discard(other.id)
        if other.state != "completed":
            self._blocked[waiting] = other.id
        if not self._needs[waiting]:
            del self._needs[waiting]
            if waiting not in self._blocked and waiting not in self._taken:
                self._pending(self._active[waiting].queue).put(self._active[waiting])
                self._changed(self._active[waiting])

    def _pending(self, queue: str) -> Pending:
        return self._waiting.setdefault(queue, Pending())

    # -- changes ------------------------------------------------------------------------------------------------

    async def put(self, task: Task) -> tuple[Task, int]:
        """Accept the task, once for each idempotency key."""
        if not task.key:
            return await self._put(task)
        known = _key(task.queue, task.key)
        while (storing := self._coming.get(known)) is not None:  # the second must see the first
            await storing.wait()
        if found := await self.with_key(task.queue, task.key):
            return found, 0
        self._coming[known] = trio.Event()
        try:
            return await self._put(task, self._book.draft("known", known, queue=task.queue, task=task.id))
        finally:
            self._coming.pop(known).set()

    async def _put(self, task: Task, *together: Draft) -> tuple[Task, int]:
        data = {**msgspec.to_builtins(task), "callback": task.callback}
        await self._kernel.ledger.append(self._book.draft("enqueued", task.id, **data), *together)
        now = self._find(task.id)
        return now, self._pending(task.queue).position(now) if now.state == "pending" else 0

    async def begin(self, task: Task, payload: Envelope, **changes: Any) -> Task:
        """Deliver the payload and record that the task runs."""
        await self._kernel.post.deliver(payload, self._draft("dispatched", task, state="running", **changes))
        return self._find(task.id)

    async def end(self, task: Task, callback: Envelope | None, **changes: Any) -> Task:
        """Record the end, together with the callback."""
        if (now := self._find(task.id)).over:
            return now
        usd = changes["cost_usd"]
        cost = {"usd": None if usd is None else f"{usd:.6f}"}
        end = [self._draft(changes["state"], task, **changes, cost=cost)]
        self._ending[task.id] = now
        try:
            await self._store_end(task, callback, end)
            return self._ending[task.id]
        finally:
            self._ending.pop(task.id, None)

    async def _store_end(self, task: Task, callback: Envelope | None, end: list[Draft]) -> None:
        if callback:
            to = {"callback_to": callback.recipient}
            told = self._draft("callback_attempted", task, outcome="accepted", message=callback.id, **to)
            try:
                await self._kernel.post.deliver(callback, *end, told, short=short_of(callback))
                return
            except Refused as refusal:  # nobody is there to be called back any more
                end.append(self._draft("callback_dropped", task, reason=str(refusal), **to))
        await self._kernel.ledger.append(*end)

    async def unsent(self, task_id: str = "") -> list[Outgoing]:
        """Return nothing: messages are stored with the steps that cause them."""
        return []

    async def sent(self, outgoing: Outgoing, refused: str = "") -> None:
        """Never called: nothing is unsent."""

    async def requeue(self, task: Task, **changes: Any) -> Task:
        """Record that it waits again, with the fields of its last attempt cleared."""
        if task.id in self._coming:
            raise Refused(f"task {task.id} is being put back into its queue already")
        gone = dict.fromkeys(("worker", "worker_handle", "envelope", "started_at"), "")
        gone["former"] = task.worker or task.former
        draft = self._draft("requeued", task, **{"state": "pending", "report": None, **gone, **changes})
        self._coming[task.id] = trio.Event()
        try:
            await self._kernel.ledger.append(draft)
        finally:
            self._coming.pop(task.id).set()
        return self._find(task.id)

    async def report(self, task: Task, report: Report) -> None:
        """Record the result."""
        await self._kernel.ledger.append(self._draft("reported", task, worker=task.worker, report=report))

    async def set_mode(self, queue: str, mode: str) -> None:
        """Record the mode."""
        await self._book.append("control", queue, queue=queue, mode=mode)

    def _draft(self, kind: str, task: Task, **changes: Any) -> Draft:
        return self._book.draft(kind, task.id, task_id=task.id, queue=task.queue, **msgspec.to_builtins(changes))

    # -- questions ----------------------------------------------------------------------------------------------

    async def find(self, task_id: str) -> Task:
        """Return the task from memory, or fold it from its records."""
        return self._find(task_id)

    def _find(self, task_id: str) -> Task:
        return self._active.get(task_id) or self._folded(task_id)

    def _folded(self, task_id: str, upto: int = sys.maxsize) -> Task:
        records = [r for r in self._book.find(task_id) if r.seq <= upto]
        if not records or records[0].kind != "enqueued":
            raise NotFound(f"there is no task {task_id!r}; `aegis task list` shows what waits, runs and ended last")
        return reduce(_after, records[1:], _enqueued(records[0]))

    def _all(self, ids: Iterable[str]) -> list[Task]:
        """Return tasks that have ended, in this order, by one reading of the book."""
        records: dict[str, list[Record]] = {task_id: [] for task_id in ids}
        where = "book=? and key in (select value from json_each(?)) order by seq"
        keys = msgspec.json.encode(list(records)).decode()
        for record in self._kernel.ledger.select(where, self._book.name, keys) if records else ():
            records[record.key].append(record)
        return [reduce(_after, own[1:], _enqueued(own[0])) for own in records.values()]

    async def with_key(self, queue: str, key: str) -> Task | None:
        """Return the task that a key names."""
        found = self._book.find(_key(queue, key)) if key else []
        return self._find(found[-1].data["task"]) if found else None

    async def take(self, task: Task) -> bool:
        """Take the task out of its queue; False when another did, or it is pending no more."""
        now = self._active.get(task.id)
        if now is None or now.state != "pending" or task.id in self._taken:
            return False
        self._taken.add(task.id)
        self._pending(task.queue).drop(task.id)
        return True

    async def put_back(self, task: Task) -> None:
        """Give it its place again."""
        if task.id in self._taken:
            self._place(self._active[task.id])
            self._changed(self._active[task.id])

    async def first(self, queue: str, now: str) -> Task | None:
        """Return the first pending task that is due."""
        return self._pending(queue).first(now)

    async def due(self, queue: str) -> str:
        """Return when the next delayed task may begin."""
        return self._pending(queue).due()

    async def active(self, queue: str = "") -> list[Task]:
        """Return those not ended, in the order of arrival."""
        return sorted((t for t in self._active.values() if queue in ("", t.queue)), key=lambda t: t.seq)

    async def newest(self, queue: str, count: int) -> list[Task]:
        """Return those that ended last."""
        recents = [recent for name, recent in self._recent.items() if queue in ("", name)]
        ids = dict.fromkeys(x for recent in recents for x in islice(reversed(recent), count))
        tasks = self._all(x for x in ids if x not in self._active)
        return sorted(tasks, key=lambda t: t.completed_at, reverse=True)[:count]  # of one second: the last one first

    async def dead(self, queue: str) -> list[Task]:
        """Return the dead letters, the last thousand of each queue."""
        tasks = self._all(x for name, ids in self._dead.items() if queue in ("", name) for x in reversed(ids))
        return sorted(tasks, key=lambda t: t.completed_at, reverse=True)

    async def blocked(self) -> list[tuple[Task, str]]:
        """Return the pending tasks that can never begin."""
        return [(self._active[waiting], other) for waiting, other in self._blocked.items() if waiting in self._active]

    async def mode(self, queue: str) -> str:
        """Return the mode."""
        return self._modes.get(queue, "open")

    async def counts(self, queue: str) -> dict[str, int]:
        """Return the numbers, states without a task included."""
        counts = self._counts.get(queue, Counter())
        return {state: counts[state] for state in STATES}


def _key(queue: str, key: str) -> str:
    return f"key:{queue}:{key}"


def _enqueued(record: Record) -> Task:
    return msgspec.convert({**record.data, "seq": record.seq}, Task)


def _after(task: Task, record: Record) -> Task:
    """Return the task as it is after a record; a report that came too late, of an attempt that is over, is none."""
    late = record.kind == "reported" and (task.state, task.worker) != ("running", record.data["worker"])
    return task if late or record.kind in _BESIDE else task.changed(record.data)
