"""A kernel with queues, whose workers echo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aegis import Caller, Kernel
from aegis.agent import Agent
from aegis.ledger import Record
from aegis.testing.clock import settled
from aegis.testing.echo import EchoPlugin

ANNA = Caller("human", "anna")


@dataclass
class Queues:
    """A kernel and the echo driver of its workers."""

    kernel: Kernel
    echo: EchoPlugin

    def __post_init__(self) -> None:
        self._commits = 0
        self.kernel.ledger.on_commit(self._committed)

    def _committed(self, records: list[Record]) -> None:
        self._commits += 1

    async def settled(self) -> None:
        """Let everything run that can, the disk too."""
        before = -1
        while before != self._commits:  # somebody goes on from what was stored, and has more
            before = self._commits
            await settled()
            await self.kernel.ledger.flush()
            await settled()

    async def call(self, verb: str, caller: Caller | Agent = ANNA, /, **args: Any) -> Any:
        """Call a verb as a person, or as one of the agents."""
        if isinstance(caller, Agent):
            caller = self.kernel.roster.caller(caller)
        return await self.kernel.verbs.call(caller, verb, args)

    async def put(self, payload: str = "work", caller: Caller | Agent = ANNA, queue: str = "one", **args: Any) -> str:
        """Hand a task over and return its id."""
        done = await self.call("enqueue", caller, queue=queue, payload=payload, **args)
        return str(done.task_id)

    async def end(self, task: str) -> Any:
        """Wait until the task has ended, for whatever reason, and return how it is shown."""
        try:
            await self.call("task wait", task_id=task)
        except Exception:  # noqa: BLE001 - how it ended is in its status
            pass
        return await self.status(task)

    async def status(self, task: str) -> Any:
        """Return how the task is shown."""
        return await self.call("task show", task_id=task)

    def mail(self) -> list[str]:
        """Return what waits in Anna's inbox."""
        return [letter.envelope.rendered() for letter in self.kernel.post.letters("human:anna")]

    def workers(self) -> list[Agent]:
        """Return the agents that are workers."""
        return [agent for agent in self.kernel.roster if agent.by.startswith("queue:")]
