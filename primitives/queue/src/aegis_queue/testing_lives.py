"""A broker in a kernel, alive, killed and alive again: what the contract of brokers stands on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aegis import Envelope, Kernel, open_kernel
from aegis.clock import new_id
from aegis_queue.broker import Broker
from aegis_queue.outbox import send
from aegis_queue.task import Task

Open = Callable[[], AbstractAsyncContextManager[tuple[Kernel, Broker]]]
WORKER, OWNER = "human:worker", "human:owner"  # whose mail can be counted
NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"


def task(payload: str = "work", queue: str = "one", **more: Any) -> Task:
    """Return a task that nobody has accepted yet."""
    return Task(id=new_id(), queue=queue, payload=payload, enqueued_by="human:owner", enqueued_at=NOW, **more)


async def active(broker: Broker, queue: str = "") -> list[Task]:
    """Return the tasks that have not ended, in the order of arrival."""
    return sorted([*await broker.running(queue), *await broker.waiting(queue, 10_000)], key=lambda t: t.seq)


def letters(kernel: Kernel, address: str) -> list[str]:
    """Return the bodies of what was ever accepted for somebody."""
    return [letter.envelope.body for letter in kernel.post.letters(address)]


def stamp_of(number: int) -> str:
    """Return a time so many seconds after `NOW`."""
    return f"{NOW[:17]}{number:02}Z"


class Lives:
    """Has the lives of a broker. `broker` returns one that is not open; whatever it needs is there."""

    def broker(self) -> Broker:
        """Return a new broker, as the hook `aegis_brokers` would."""
        raise NotImplementedError

    # -- lives --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _life(self, folder: Path, seen: list[Task]) -> AsyncIterator[tuple[Kernel, Broker]]:
        async with open_kernel(folder, plugins={}, environment={}) as kernel:
            broker = self.broker()
            async with broker.open(kernel, seen.append):
                yield kernel, broker

    @pytest.fixture
    def seen(self) -> list[Task]:
        """What `changed` was called with."""
        return []

    @pytest.fixture
    async def opened(self, project: Path, seen: list[Task]) -> AsyncIterator[tuple[Kernel, Broker]]:
        """A kernel and the broker, open."""
        async with self._life(project, seen) as life:
            yield life

    async def _after_a_kill(self, project: Path, copy: Path) -> tuple[list[str], list[str], list[Task]]:
        """Return the mail of worker and owner, and the active tasks, in the next life of what a kill now would leave.

        The next life sends what is unsent, twice over, as if it had died in between.
        """
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns("*.sock"))
        async with self._life(copy, []) as (kernel, broker):
            unsent = await broker.unsent()
            await send(kernel, broker)
            for outgoing in unsent:
                await kernel.post.deliver(outgoing.envelope)
            assert await broker.unsent() == []
            return letters(kernel, WORKER), letters(kernel, OWNER), await active(broker)

    async def _running(self, kernel: Kernel, broker: Broker, **more: Any) -> Task:
        put, _ = await broker.put(task(**more))
        assert await broker.take(put)
        begun = await broker.begin(put, self._payload(kernel, put), **self._attempt())
        await send(kernel, broker, put.id)
        return begun

    def _payload(self, kernel: Kernel, put: Task) -> Envelope:
        return kernel.post.envelope("human:owner", WORKER, put.payload, task_id=put.id)

    def _callback(self, kernel: Kernel, begun: Task, to: str = OWNER) -> Envelope:
        return kernel.post.envelope("queue:one", to, f"end of {begun.payload}", task_id=begun.id, status="ok")

    def _attempt(self, number: int = 1) -> dict[str, Any]:
        return {
            "worker": f"worker-{number}",
            "worker_handle": "w",
            "envelope": "e",
            "attempt": number,
            "started_at": NOW,
        }

    def _end(self, state: str = "completed", outcome: str = "ok", result: str = "done") -> dict[str, Any]:
        error = "" if state == "completed" else "no"
        return {
            "state": state, "outcome": outcome, "result": result, "error": error, "attempt": 1, "artefacts": (),
            "completed_at": NOW, "cost_usd": 0.25,
        }  # fmt: skip
