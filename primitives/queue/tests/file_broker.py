"""A second broker, as unlike the first as can be: one SQLite file of its own, asked anew each time, in a thread.

It keeps states and no history, it cannot store mail with a step, and between question and answer everything may happen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any, TypeVar

import msgspec
import trio

from aegis import Envelope, Kernel, NotFound, Refused, hookimpl
from aegis.ledger import Draft
from aegis_queue.broker import Outgoing
from aegis_queue.task import STATES, Report, Task

T = TypeVar("T")
SCHEMA = """
pragma journal_mode=wal; pragma synchronous=full;
create table if not exists tasks(
  seq integer primary key autoincrement, id text unique, queue text, state text, name text, data blob,
  taken int default 0, ended int default 0);
create unique index if not exists names on tasks(queue, name) where name <> '';
create table if not exists outbox(n integer primary key autoincrement, task text, envelope blob);
create table if not exists modes(queue text primary key, mode text);
"""


class FileBroker:
    """See `aegis_queue.broker.Broker`."""

    name = "file"

    def __init__(self) -> None:
        self._turns = trio.Lock()
        self._db: sqlite3.Connection | None = None
        self._changed: Callable[[Task], None] = lambda task: None

    @asynccontextmanager
    async def open(self, kernel: Kernel, changed: Callable[[Task], None]) -> AsyncIterator[None]:
        self._kernel, self._changed = kernel, changed
        path = kernel.project.state / "tasks.db"
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as self._db:
            self._db.executescript(SCHEMA)
            self._db.execute("update tasks set taken=0")
            yield

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what the work returns, which has the file to itself; all of it is stored, or none."""

        def alone() -> T:
            assert self._db
            self._db.execute("begin immediate")
            try:
                done = work(self._db)
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
            return done

        async with self._turns:
            return await trio.to_thread.run_sync(alone)

    def _tell(self, task: Task, others: list[Task] = []) -> Task:  # noqa: B006 - it is read only
        for each in (task, *others):
            self._changed(each)
        return task

    # -- changes ------------------------------------------------------------------------------------------------

    async def put(self, task: Task) -> tuple[Task, int]:
        def work(db: sqlite3.Connection) -> tuple[Task, int]:
            if task.key and (known := _select(db, "queue=? and name=?", task.queue, task.key)):
                return known[0], 0
            row = "insert into tasks(id, queue, state, name, data) values (?, ?, ?, ?, ?)"
            db.execute(row, (task.id, task.queue, task.state, task.key, msgspec.json.encode(task)))
            [new] = _select(db, "id=?", task.id)
            waiting = [t for t in _select(db, "queue=? and state='pending'", task.queue) if t.rank <= new.rank]
            return new, len(waiting)

        new, position = await self._do(work)
        if position:
            self._tell(new)
        return new, position

    async def begin(self, task: Task, payload: Envelope, *worker: Draft, **changes: Any) -> Task:
        await self._kernel.ledger.append(*worker)
        return self._tell(await self._do(lambda db: _change(db, task, {"state": "running", **changes}, payload)))

    async def end(self, task: Task, callback: Envelope | None, **changes: Any) -> Task:
        def work(db: sqlite3.Connection) -> tuple[Task, list[Task]]:
            [now] = _select(db, "id=?", task.id)
            if now.over:
                return now, []
            ended = _change(db, task, changes, callback)
            db.execute("update tasks set ended=(select max(ended) + 1 from tasks) where id=?", (task.id,))
            return ended, [t for t in _select(db, "state='pending'") if task.id in t.after]

        return self._tell(*await self._do(work))

    async def unsent(self, task_id: str = "") -> list[Outgoing]:
        rows = "select task, envelope from outbox where ? in ('', task) order by n"
        found = await self._do(lambda db: db.execute(rows, (task_id,)).fetchall())
        return [Outgoing(task, msgspec.json.decode(data, type=Envelope)) for task, data in found]

    async def sent(self, outgoing: Outgoing, refused: str = "") -> None:
        gone = "delete from outbox where json_extract(cast(envelope as text), '$.id')=?"
        await self._do(lambda db: db.execute(gone, (outgoing.envelope.id,)))

    async def requeue(self, task: Task, **changes: Any) -> Task:
        def work(db: sqlite3.Connection) -> Task:
            [now] = _select(db, "id=?", task.id)
            if now.state == "pending":
                raise Refused(f"task {task.id} is in its queue already")
            gone = dict.fromkeys(("worker", "worker_handle", "envelope", "started_at"), "")
            gone["former"] = now.worker or now.former
            return _change(db, task, {"state": "pending", "report": None, **gone, **changes})

        return self._tell(await self._do(work))

    async def report(self, task: Task, report: Report) -> None:
        def work(db: sqlite3.Connection) -> Task:
            [now] = _select(db, "id=?", task.id)
            counts = (now.state, now.worker) == ("running", task.worker)
            return _change(db, task, {"report": report}, taken=None) if counts else now

        self._tell(await self._do(work))

    async def set_mode(self, queue: str, mode: str) -> None:
        await self._do(lambda db: db.execute("insert or replace into modes values (?, ?)", (queue, mode)))

    async def take(self, task: Task) -> bool:
        free = "update tasks set taken=1 where id=? and state='pending' and not taken"
        return await self._do(lambda db: db.execute(free, (task.id,)).rowcount == 1)

    async def put_back(self, task: Task) -> None:
        back = "update tasks set taken=0 where id=? and state='pending' and taken"
        if await self._do(lambda db: db.execute(back, (task.id,)).rowcount):
            self._tell(await self.find(task.id))

    # -- questions ----------------------------------------------------------------------------------------------

    async def _select(self, where: str, *args: Any) -> list[Task]:
        return await self._do(lambda db: _select(db, where, *args))

    async def find(self, task_id: str) -> Task:
        if found := await self._select("id=?", task_id):
            return found[0]
        raise NotFound(f"there is no task {task_id!r}; `aegis task list` shows what waits, runs and ended last")

    async def with_key(self, queue: str, key: str) -> Task | None:
        return next(iter(await self._select("queue=? and name=?", queue, key)), None)

    async def first(self, queue: str, now: str) -> Task | None:
        return min((t for t in await self._free(queue) if t.not_before <= now), key=lambda t: t.rank, default=None)

    async def due(self, queue: str) -> str:
        return min((t.not_before for t in await self._free(queue) if t.not_before), default="")

    async def _free(self, queue: str) -> list[Task]:
        """Return the tasks that wait for nothing but their time and a worker."""
        found = await self._select("state in ('pending', 'completed') and not taken")
        completed = {t.id for t in found if t.over}
        return [t for t in found if (t.queue, t.state) == (queue, "pending") and completed.issuperset(t.after)]

    async def running(self, queue: str = "") -> list[Task]:
        return await self._select("? in ('', queue) and state='running'", queue)

    async def waiting(self, queue: str, count: int) -> list[Task]:
        pending = await self._select("? in ('', queue) and state='pending'", queue)
        return sorted(pending, key=lambda t: t.rank)[:count]

    async def position(self, task: Task) -> int:
        pending = await self._select("queue=? and state='pending' and not taken", task.queue)
        return sum(t.rank <= task.rank for t in pending) if task.id in {t.id for t in pending} else 0

    async def _active(self) -> list[Task]:
        return await self._select("state in ('pending', 'running')")

    async def agents(self) -> set[str]:
        return {agent for t in await self._active() for agent in (t.agent, t.former)} - {""}

    async def of(self, agent: str) -> list[Task]:
        return [t for t in await self._active() if agent in (t.agent, t.former)]

    async def owned(self, agent: str, queue: str) -> int:
        return sum((t.queue, t.agent) == (queue, agent) for t in await self._active())

    async def ids(self, end: str, count: int) -> list[str]:
        return [t.id for t in await self._active() if t.id.upper().endswith(end.upper())][:count]

    async def newest(self, queue: str, count: int) -> list[Task]:
        over = "? in ('', queue) and state not in ('pending', 'running')"
        return await self._select(f"{over} order by ended desc limit ?", queue, count)

    async def dead(self, queue: str) -> list[Task]:
        return await self._select("? in ('', queue) and state='failed' order by ended desc", queue)

    async def blocked(self) -> list[tuple[Task, str]]:
        found = {t.id: t for t in await self._select("1")}
        lost = {t.id for t in found.values() if t.state in ("failed", "cancelled")}
        pending = [t for t in found.values() if t.state == "pending" and all(found[x].over for x in t.after)]
        return [(t, next(x for x in t.after if x in lost)) for t in pending if lost.intersection(t.after)]

    async def mode(self, queue: str) -> str:
        row = await self._do(lambda db: db.execute("select mode from modes where queue=?", (queue,)).fetchone())
        return str(row[0]) if row else "open"

    async def counts(self, queue: str) -> dict[str, int]:
        rows = "select state, count(*) from tasks where queue=? group by state"
        return dict.fromkeys(STATES, 0) | dict(await self._do(lambda db: db.execute(rows, (queue,)).fetchall()))


def _select(db: sqlite3.Connection, where: str, *args: Any) -> list[Task]:
    rows = db.execute(f"select seq, data from tasks where {where}", args)
    return [msgspec.structs.replace(msgspec.json.decode(data, type=Task), seq=seq) for seq, data in rows]


def _change(
    db: sqlite3.Connection, task: Task, changes: dict[str, Any], message: Envelope | None = None, taken: int | None = 0
) -> Task:
    """Store the task as it is now and what it causes, and return it."""
    [now] = _select(db, "id=?", task.id)
    new = now.changed(msgspec.to_builtins(changes))
    row = "update tasks set state=?, data=?, taken=coalesce(?, taken) where id=?"
    db.execute(row, (new.state, msgspec.json.encode(new), taken, new.id))
    if message:
        db.execute("insert into outbox(task, envelope) values (?, ?)", (new.id, msgspec.json.encode(message)))
    return new


class FileBrokerPlugin:
    """The plugin that offers it."""

    @hookimpl(optionalhook=True)
    def aegis_brokers(self) -> list[FileBroker]:
        return [FileBroker()]
