"""Queues: durable enqueues, what a task costs beside a bare process, opening a project with a past, and memory.

`python tests/bench/bench_queue.py [enqueue|task|open|memory …]`
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import trio

import aegis_claude.plugin
import aegis_queue.plugin
from aegis import Caller, open_kernel
from aegis.clock import new_id
from aegis.ledger import Draft
from aegis.project import Project
from aegis.testing.echo import EchoPlugin

SECONDS = 2.0
ANNA = Caller("human", "anna")
PAYLOAD = "x" * 300
FINISHED, PENDING, SHORT = 100_000, 1_000, 10
PARALLEL, TASKS, ROUNDS, RAN = 8, 48, 5, 400


def row(what: str, figure: str, floor: str = "", ratio: float | None = None, aim: str = "") -> None:
    """Print one line of the table."""
    print(f"{what:<58}{figure:>14}{floor:>14}{'' if ratio is None else f'{ratio:.2f}×':>9}  {aim}")


def project(folder: Path, config: str) -> Path:
    folder.mkdir()
    (folder / ".aegis.yaml").write_text(config)
    return folder


# -- enqueue -------------------------------------------------------------------------------------------------------


def fsyncs(folder: Path) -> tuple[float, float]:
    """Return p50 in ms and the rate of an append of a record's bytes and its sync, in a loop that does nothing else."""
    fd, took = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND), list[float]()
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        before = time.perf_counter()
        os.write(fd, b"x" * (len(PAYLOAD) + 250))
        os.fsync(fd)
        took.append(time.perf_counter() - before)
    os.close(fd)
    return statistics.median(took) * 1000, len(took) / (time.perf_counter() - began)


def commits(folder: Path) -> tuple[float, float]:
    """Return the same of one row and its commit in SQLite, with the ledger's settings."""
    took = list[float]()
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as db:
        db.executescript("pragma journal_mode=wal; pragma synchronous=full; create table r(k, d);")
        began = time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            before = time.perf_counter()
            db.execute("insert into r values (?, ?)", (new_id(), b"x" * (len(PAYLOAD) + 250)))
            took.append(time.perf_counter() - before)
    return statistics.median(took) * 1000, len(took) / (time.perf_counter() - began)


async def enqueues(folder: Path, callers: int) -> tuple[float, float]:
    """Return p50 in ms and the rate of enqueues from so many callers at once; the queue is paused."""
    took = list[float]()
    config = "queues: {one: {agent: echo}}\n"
    plugins = {"echo": EchoPlugin(), "queue": aegis_queue.plugin}
    async with open_kernel(project(folder / str(callers), config), plugins=plugins, environment={}) as kernel:
        await kernel.verbs.call(ANNA, "queue pause", {"queue": "one"})
        began = time.perf_counter()

        async def call() -> None:
            while time.perf_counter() - began < SECONDS:
                before = time.perf_counter()
                await kernel.verbs.call(ANNA, "enqueue", {"queue": "one", "payload": PAYLOAD})
                took.append(time.perf_counter() - before)

        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(call)
        seconds = time.perf_counter() - began
    return statistics.median(took) * 1000, len(took) / seconds


def bench_enqueue(folder: Path) -> None:
    sync, commit = fsyncs(folder), commits(folder)
    row("one fsync: p50", "", f"{sync[0]:.2f} ms")
    row("one commit in SQLite: p50", f"{commit[0]:.2f} ms", f"{sync[0]:.2f} ms", commit[0] / sync[0])
    for callers in (1, 32):
        p50, rate = trio.run(enqueues, folder, callers)
        who = f"durable enqueue, {callers} caller{'s'[: callers > 1]}"
        row(f"{who}: p50 / one commit", f"{p50:.2f} ms", f"{commit[0]:.2f} ms", p50 / commit[0])
        row(f"{who}: per second / one commit after another", f"{rate:,.0f}", f"{commit[1]:,.0f}", rate / commit[1])


# -- a task beside a bare process ----------------------------------------------------------------------------------


def command(folder: Path) -> list[str]:
    script = folder / "script.json"
    script.write_text(json.dumps([{"do": [{"wait": 0.2}, {"say": "done"}]}]))
    return [sys.executable, "-m", "aegis_claude.testing", "--script", str(script)]


async def bare(argv: list[str], folder: Path) -> float:
    """Return the seconds for the processes alone: started, one turn over their pipes, ended; eight at a time."""
    flags = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
    limit = trio.CapacityLimiter(PARALLEL)
    said = {"type": "user", "message": {"role": "user", "content": PAYLOAD}}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}

    async def one() -> None:
        async with limit:
            line = json.dumps(said).encode() + b"\n"
            done = await trio.run_process([*argv, *flags], stdin=line, capture_stdout=True, env=environment)
            assert b'"result"' in done.stdout

    return await timed(one)


async def timed(one: Callable[[], Coroutine[Any, Any, None]]) -> float:
    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(one)
    return time.perf_counter() - began


async def tasks(argv: list[str], folder: Path, number: int) -> tuple[float, float]:
    """Return the seconds for as many agents that are spawned, told and closed, and for as many tasks of a queue."""
    config = (
        f"agents:\n  fake: {{provider: claude-code, command: {json.dumps(argv)}}}\n"
        f"queues:\n  many: {{agent: fake, max_parallel: {PARALLEL}}}\n"
    )
    plugins = {"claude": aegis_claude.plugin, "queue": aegis_queue.plugin}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    root = project(folder / f"tasks-{number}", config)
    async with open_kernel(root, plugins=plugins, environment=environment) as kernel:
        limit, names = trio.CapacityLimiter(PARALLEL), iter(range(TASKS))

        async def agent() -> None:
            async with limit:
                agent = await kernel.roster.spawn("fake", f"agent-{next(names)}")
                letter = kernel.post.envelope("human:anna", agent.id, PAYLOAD)
                await kernel.post.deliver(letter)
                assert (await kernel.post.wait_turn(letter.id)).outcome == "completed"
                await kernel.roster.close(agent)

        async def task() -> None:
            put = await kernel.verbs.call(ANNA, "enqueue", {"queue": "many", "payload": PAYLOAD})
            await kernel.verbs.call(ANNA, "task wait", {"task_id": put.task_id})

        return await timed(agent), await timed(task)


def bench_task(folder: Path) -> None:
    argv = command(folder)
    seen = [(trio.run(bare, argv, folder), *trio.run(tasks, argv, folder, number)) for number in range(ROUNDS)]
    alone, agents, queued = (statistics.median(column) / TASKS * 1000 for column in zip(*seen, strict=True))
    row(
        f"a spawned agent with one turn, {PARALLEL} at a time / bare process",
        f"{agents:.1f} ms",
        f"{alone:.1f} ms",
        agents / alone,
    )
    row(
        f"a task, max_parallel {PARALLEL} / bare process",
        f"{queued:.1f} ms",
        f"{alone:.1f} ms",
        queued / alone,
        "≤ 1.15×",
    )
    row(f"a task, max_parallel {PARALLEL} / a spawned agent", f"{queued:.1f} ms", f"{agents:.1f} ms", queued / agents)


# -- a project with a past -----------------------------------------------------------------------------------------


class Past:
    """Writes what tasks leave behind, as fast as the ledger takes it."""

    def __init__(self, kernel: Any) -> None:
        self._kernel, self._post = kernel, kernel.post
        self._book = kernel.ledger.book("queue")

    async def pending(self, count: int) -> None:
        await self._kernel.ledger.append(*(self._enqueued(new_id()) for _ in range(count)))

    async def finished(self, count: int, at_once: int = 500, *, read: bool = True) -> None:
        """Leave finished tasks, whose callbacks have been read."""
        for _ in range(count // at_once):
            drafts: list[Draft] = []
            for _ in range(at_once):
                drafts += self._finished(new_id())
            await self._kernel.ledger.append(*drafts)
            if read:
                await self._post.read(self._post.letters("human:anna"))

    def _finished(self, task: str) -> list[Draft]:
        now = "2026-01-05T10:00:00Z"
        begun = {"state": "running", "worker": new_id(), "worker_handle": "one-abcd", "envelope": new_id()}
        ended = {"state": "completed", "outcome": "ok", "result": PAYLOAD, "completed_at": now}
        callback = self._post.envelope("queue:one", "human:anna", PAYLOAD, task_id=task, status="ok")
        return [
            self._enqueued(task),
            self._book.draft("dispatched", task, queue="one", attempt=1, started_at=now, **begun),
            self._post.accept(callback),
            self._book.draft("completed", task, queue="one", **ended),
        ]

    def _enqueued(self, task: str) -> Draft:
        return self._book.draft(
            "enqueued", task, task_id=task, queue="one", payload=PAYLOAD, enqueued_by="human:anna",
            enqueued_at="2026-01-05T10:00:00Z", address="human:anna", callback=True,
        )  # fmt: skip


CONFIG = "queues: {one: {agent: echo}}\n"


def plugins() -> dict[str, object]:
    return {"echo": EchoPlugin(), "queue": aegis_queue.plugin}


async def written(folder: Path, count: int, pending: int) -> None:
    async with open_kernel(folder, plugins=plugins(), environment={}) as kernel:
        kernel.post.mailbox("human:anna")
        await kernel.verbs.call(ANNA, "queue pause", {"queue": "one"})
        past = Past(kernel)
        await past.finished(count)
        await past.pending(pending)


async def opened(folder: Path) -> tuple[float, float, float]:
    """Return the seconds to open the project, to list its tasks and to hand over one more."""
    began = time.perf_counter()
    async with open_kernel(folder, plugins=plugins(), environment={}) as kernel:
        opening = time.perf_counter() - began
        [queue] = await kernel.verbs.call(ANNA, "queue list", {})
        assert (queue.completed, queue.pending) == (FINISHED, PENDING), queue
        began = time.perf_counter()
        await kernel.verbs.call(ANNA, "task list", {})
        listing = time.perf_counter() - began
        began = time.perf_counter()
        await kernel.verbs.call(ANNA, "enqueue", {"queue": "one", "payload": PAYLOAD})
        return opening, listing, time.perf_counter() - began


def read(folder: Path) -> float:
    """Return the seconds to open the file with SQLite and read every snapshot and what came after."""
    began = time.perf_counter()
    with closing(sqlite3.connect(Project(folder).state / "ledger.db")) as db:
        for book, seq, _ in db.execute("select book, seq, state from snapshots").fetchall():
            db.execute("select seq, kind, key, data from records where book=? and seq>?", (book, seq)).fetchall()
    return time.perf_counter() - began


async def started(folder: Path) -> None:
    async with open_kernel(folder, plugins=plugins(), environment={}):
        pass


def bench_open(folder: Path) -> None:
    root = project(folder / "past", CONFIG)
    trio.run(written, root, FINISHED, PENDING)
    least = read(root)
    opening, listing, put = trio.run(opened, root)
    what = f"{FINISHED:,} finished and {PENDING:,} pending tasks"
    row(f"opening a project with {what}", f"{opening:.2f} s", f"{least:.2f} s", opening / least, "≤ 1 s")
    short = project(folder / "short lives", CONFIG)
    for _ in range(SHORT):
        trio.run(written, short, FINISHED // SHORT // 10, 0)
    least, began = read(short), time.perf_counter()
    trio.run(started, short)
    took = time.perf_counter() - began
    row(
        f"  after {SHORT} short lives with {FINISHED // 10:,} tasks in all",
        f"{took:.2f} s",
        f"{least:.2f} s",
        took / least,
    )
    row("  task list there", f"{listing * 1000:.1f} ms")
    row("  enqueue there", f"{put * 1000:.1f} ms")


# -- memory --------------------------------------------------------------------------------------------------------


async def grown(folder: Path) -> tuple[float, float, float]:
    """Return the KiB that finished tasks leave in memory: written, really run, with unread callbacks."""
    echo = EchoPlugin()
    async with open_kernel(folder, plugins=plugins() | {"echo": echo}, environment={}) as kernel:
        kernel.post.mailbox("human:anna")
        past = Past(kernel)

        async def ran(count: int) -> None:
            for _ in range(count):
                put = await kernel.verbs.call(ANNA, "enqueue", {"queue": "one", "payload": PAYLOAD})
                await kernel.verbs.call(ANNA, "task wait", {"task_id": put.task_id})
            await kernel.post.read(kernel.post.letters("human:anna"))
            echo.driver.sessions.clear()  # the kit's driver remembers them
            echo.driver.kept.clear()

        await past.finished(1_000)
        await ran(RAN)
        tracemalloc.start()
        before = now()
        await ran(RAN)
        lived, before = now() - before, now()
        await past.finished(10_000)
        written, before = now() - before, now()
        await past.finished(10_000, read=False)
        return written, lived, now() - before


def now() -> float:
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1024


def bench_memory(folder: Path) -> None:
    written, ran, unread = trio.run(grown, project(folder / "memory", CONFIG))
    row("memory after 10,000 more finished tasks, callbacks read", f"{written:,.0f} KiB", aim="about 0")
    row(f"  after {RAN} more that ran here", f"{ran:,.0f} KiB", aim="about 0")
    row("  of tasks whose callbacks a person has not read yet", f"{unread:,.0f} KiB")


def main(names: list[str]) -> None:
    """Print the figures, each beside its floor."""
    row("what", "figure", "floor")
    for name in names or ["enqueue", "task", "open", "memory"]:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # on the disk that a project would be on
            globals()[f"bench_{name}"](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
