"""The broker inside the kernel: one book of the ledger; finished tasks stay on disk only.

Book `queue` (key: task): `enqueued` → `dispatched` → [`reported`] → `completed` | `failed` | `cancelled`, with the end
`callback_attempted` or `callback_dropped`; or `requeued` and again. `known` (key: queue and idempotency key) and
`control` (key: queue).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import chain, islice
from typing import Any

import msgspec
import trio

from aegis import Envelope, Kernel, NotFound, Refused
from aegis.ledger import Book, Draft, Record
from aegis_queue.active import Active
from aegis_queue.broker import Outgoing
from aegis_queue.folding import BESIDE, ENDS, Kept, after, enqueued, folded
from aegis_queue.outbox import short_of
from aegis_queue.pending import Waiting
from aegis_queue.task import OVER, STATES, Report, Task

_RECENT = 50  # finished tasks of a queue whose ids are at hand
_DEAD = 1_000  # the same of those that failed
WHOLE, _CHARACTERS = 200, 1_000_000  # tasks that are kept whole, and what they may hold
_AHEAD = 50  # tasks that are read together when the next one is not at hand


class LedgerBroker:
    """See `broker.Broker`. A message is appended together with the step that causes it, so there is no outbox."""

    name = "ledger"

    _kernel: Kernel
    _book: Book
    _changed: Callable[[Task], None]

    def __init__(self) -> None:
        self._active = Active()
        self._next = Kept(WHOLE, _CHARACTERS)  # pending
        self._ended = Kept(WHOLE, _CHARACTERS)
        self._counts: dict[str, Counter[str]] = {}
        self._recent: dict[str, deque[str]] = {}
        self._dead: dict[str, dict[str, None]] = {}
        self._modes: dict[str, str] = {}
        self._ending: dict[str, Task] = {}  # what is being ended, and then how it was stored
        self._coming: dict[str, trio.Event] = {}  # idempotency keys and revived tasks that the disk works at
        self._live = False

    @asynccontextmanager
    async def open(self, kernel: Kernel, changed: Callable[[Task], None]) -> AsyncIterator[None]:
        """Fold the book, once."""
        self._changed = changed
        if not self._live:
            self._kernel, self._book = kernel, kernel.ledger.book("queue")
            self._book.fold(self._begin, self._apply, self._state, ends=ENDS, held=lambda: chain(*self._dead.values()))
            self._active.running |= {task.id: task for task in await self._all(self._active.running)}
            for entry in self._active.entries():
                self._active.place(entry, self._lost)
            for task in await self._all(entry.id for entry in self._active.page("", WHOLE)):
                self._next.keep(task)
            self._live = True
        yield

    # -- the fold -----------------------------------------------------------------------------------------------

    def _begin(self, snapshot: Any) -> None:
        for row in snapshot.get("waiting", ()):
            self._active.keep(msgspec.convert(row, Waiting))
        self._active.running = dict.fromkeys(snapshot.get("running", ()))
        for task in msgspec.convert(snapshot.get("active", ()), list[Task]):  # of a version that kept them whole
            if task.state == "running":
                self._active.running[task.id] = None
            else:
                self._active.wait(task)
        self._counts = {queue: Counter(counts) for queue, counts in snapshot["counts"].items()}
        self._recent = {queue: deque(ids, _RECENT) for queue, ids in snapshot["recent"].items()}
        self._dead = {queue: dict.fromkeys(ids) for queue, ids in snapshot["dead"].items()}
        self._modes = snapshot["modes"]

    def _state(self) -> Any:
        recent = {queue: list(ids) for queue, ids in self._recent.items()}
        dead = {queue: list(ids) for queue, ids in self._dead.items()}
        active = {"waiting": self._active.entries(), "running": list(self._active.running)}
        return active | {"counts": self._counts, "modes": self._modes, "recent": recent, "dead": dead}

    def _apply(self, record: Record) -> None:
        kind, key = record.kind, record.key
        if kind in BESIDE:
            return
        if kind == "control":
            self._modes[key] = record.data["mode"]
        elif kind == "reported":
            if (runs := self._active.running.get(key)) and (reported := after(runs, record)) is not runs:
                self._active.running[key] = reported
                self._changed(reported)
        elif kind == "enqueued":
            self._become(record, "pending", enqueued(record))
        elif kind == "requeued":  # a task that had ended may be wanted again
            was = self._whole(record)
            self._become(record, "pending", after(was, record), was.state)
        elif key in self._active:
            task = after(self._whole(record), record) if self._live else None  # else it is read when all are known
            self._become(record, "running" if kind == "dispatched" else kind, task)

    def _whole(self, record: Record) -> Task:
        """Return the task as it was before the record."""
        task = self._active.running.get(record.key) or self._next.get(record.key)
        return task or self._folded(record.key, record.seq - 1)

    def _become(self, record: Record, state: str, task: Task | None, was: str = "") -> None:
        key, queue = record.key, record.data["queue"]
        counts = self._counts.setdefault(queue, Counter())
        if before := self._active.take_out(key) or was:
            counts[before] -= 1
        counts[state] += 1
        self._next.forget(key)
        self._ended.forget(key)
        dead = self._dead.setdefault(queue, {})
        dead.pop(key, None)
        if state == "running":
            self._active.running[key] = task
        elif state in OVER:
            self._over(key, queue, state, task)
        elif task:
            entry = self._active.wait(task)
            if self._live:
                self._next.keep(task)
                self._active.place(entry, self._lost)
        if self._live and task:
            self._changed(task)

    def _over(self, key: str, queue: str, state: str, task: Task | None) -> None:
        self._recent.setdefault(queue, deque(maxlen=_RECENT)).append(key)
        if state == "failed":
            dead = self._dead[queue]
            dead[key] = None
            if len(dead) > _DEAD:
                del dead[next(iter(dead))]
        if task:
            self._ended.keep(task, instead=True)
            if key in self._ending:
                self._ending[key] = task
        for freed in self._active.over(key, state):
            self._changed(self._find(freed))

    def _lost(self, task_id: str) -> bool:
        return self._find(task_id).state != "completed"

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
        stored = await self._kernel.ledger.append(self._book.draft("enqueued", task.id, **data), *together)
        waits = self._active.entry(task.id)
        now = self._next.get(task.id) or enqueued(stored[0]) if waits else self._find(task.id)
        return now, self._active.position(task.id)

    async def begin(self, task: Task, payload: Envelope, *worker: Draft, **changes: Any) -> Task:
        """Deliver the payload and record that the task runs, and who has it."""
        await self._kernel.post.deliver(payload, *worker, self._draft("dispatched", task, state="running", **changes))
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
        known = self._active.running.get(task_id) or self._next.get(task_id) or self._ended.get(task_id)
        return known or self._folded(task_id)

    def _folded(self, task_id: str, upto: float = float("inf")) -> Task:
        task = next(folded(r for r in self._book.find(task_id) if r.seq <= upto), None)
        if task is None:
            raise NotFound(f"there is no task {task_id!r}; `aegis task list` shows what waits, runs and ended last")
        return task

    async def _all(self, ids: Iterable[str]) -> list[Task]:
        """Return tasks in this order; those that are not at hand by one reading of the book, in a thread."""
        found = {task_id: self._next.get(task_id) or self._ended.get(task_id) for task_id in ids}
        if missing := [task_id for task_id, task in found.items() if task is None]:
            # With the sign SQLite finds them by their keys, and walks through no whole book for their order.
            where = "book=? and key in (select value from json_each(?)) order by +seq"
            args = self._book.name, msgspec.json.encode(missing).decode()

            def read(select: Callable[..., Iterator[Record]]) -> list[Task]:
                return list(folded(select(where, *args)))

            found |= {task.id: task for task in await self._kernel.ledger.aside(read)}
        return [task for task in found.values() if task]

    async def with_key(self, queue: str, key: str) -> Task | None:
        """Return the task that a key names."""
        ids = [r.data["task"] for r in self._book.find(_key(queue, key))[-1:]] if key else []
        return next((self._find(task) for task in ids if self._book.find(task)), None)  # else it was taken out, as old

    async def take(self, task: Task) -> bool:
        """Take the task out of its queue; False when another did, or it is pending no more."""
        return self._active.take(task.id)

    async def put_back(self, task: Task) -> None:
        """Give it its place again."""
        if self._active.put_back(task.id, self._lost):
            self._changed(self._find(task.id))

    async def first(self, queue: str, now: str) -> Task | None:
        """Return the first pending task that is due; when it is not at hand, those behind it are read with it."""
        pending = self._active.of_queue(queue)
        while entry := pending.first(now):
            if task := self._next.get(entry.id):
                return task
            ahead = {each.id: each for each in [entry, *pending.page(_AHEAD)]}
            for task in reversed(await self._all(ahead)):
                if self._active.entry(task.id) is ahead[task.id]:  # nothing has become of it meanwhile
                    self._next.keep(task, instead=True)
            if pending.first(now) is entry and not self._next.get(entry.id):  # it is too long to be kept
                return self._find(entry.id)
        return None

    async def due(self, queue: str) -> str:
        """Return when the next delayed task may begin."""
        return self._active.of_queue(queue).due()

    async def running(self, queue: str = "") -> list[Task]:
        """Return the running tasks."""
        return self._active.ran(queue)

    async def waiting(self, queue: str, count: int) -> list[Task]:
        """Return the pending tasks that stand first."""
        return self._still(await self._all(entry.id for entry in self._active.page(queue, count)))

    def _still(self, tasks: list[Task]) -> list[Task]:
        """Return the pending tasks as they are now: they may have changed while the disk was read."""
        return [self._next.get(t.id) or t for t in tasks if self._active.entry(t.id)]

    async def position(self, task: Task) -> int:
        """Return where a pending task stands."""
        return self._active.position(task.id)

    async def agents(self) -> set[str]:
        """Return whose acts are here."""
        return self._active.agents()

    async def of(self, agent: str) -> list[Task]:
        """Return an agent's tasks."""
        running, pending = self._active.of(agent)
        return sorted([*running, *self._still(await self._all(e.id for e in pending))], key=lambda t: t.seq)

    async def owned(self, agent: str, queue: str) -> int:
        """Return how many there are of the agent in the queue."""
        return self._active.owned(agent, queue)

    async def ids(self, end: str, count: int) -> list[str]:
        """Return ids that end like this."""
        return self._active.ids(end, count)

    async def newest(self, queue: str, count: int) -> list[Task]:
        """Return those that ended last."""
        recents = [recent for name, recent in self._recent.items() if queue in ("", name)]
        ids = dict.fromkeys(x for recent in recents for x in islice(reversed(recent), count))
        tasks = await self._all(x for x in ids if x not in self._active)
        return sorted(tasks, key=lambda t: t.completed_at, reverse=True)[:count]  # of one second: the last one first

    async def dead(self, queue: str) -> list[Task]:
        """Return the dead letters, the last thousand of each queue."""
        tasks = await self._all(x for name, ids in self._dead.items() if queue in ("", name) for x in reversed(ids))
        return sorted(tasks, key=lambda t: t.completed_at, reverse=True)

    async def blocked(self) -> list[tuple[Task, str]]:
        """Return the pending tasks that can never begin."""
        return [(self._find(blocked), other) for blocked, other in self._active.blocked.items()]

    async def mode(self, queue: str) -> str:
        """Return the mode."""
        return self._modes.get(queue, "open")

    async def counts(self, queue: str) -> dict[str, int]:
        """Return the numbers, states without a task included."""
        counts = self._counts.get(queue, Counter())
        return {state: counts[state] for state in STATES}


def _key(queue: str, key: str) -> str:
    return f"key:{queue}:{key}"
