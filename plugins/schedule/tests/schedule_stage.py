"""A kernel with schedules, and a verb that says what was done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import trio

from aegis import Caller, Kernel, Refused, hookimpl, verb
from aegis.testing.clock import TestClock

ANNA = Caller("human", "anna")


class WorkPlugin:
    """Brings the verb `work do`."""

    name = "work"

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []  # what, and when
        self.callers: list[Caller] = []
        self.ended: list[str] = []
        self.now: Callable[[], datetime]

    @hookimpl
    def aegis_primitives(self, kernel: Kernel) -> list[Any]:
        self.now = kernel.clock.now
        return [self]

    @verb("work do")
    async def do(self, caller: Caller, text: str = "", seconds: float = 0, fail: str = "") -> str:
        """Do it."""
        self.done.append((text, f"{self.now():%m-%d %H:%M}"))
        self.callers.append(caller)
        await trio.sleep(seconds)
        if fail == "crash":
            raise RuntimeError("it broke")
        if fail:
            raise Refused(fail)
        self.ended.append(text)
        return f"did {text}"

    @property
    def times(self) -> list[str]:
        """When it was done."""
        return [when for _, when in self.done]


class Stage:
    """A project with schedules."""

    def __init__(self, project: Path, kernel_with: Any, work: WorkPlugin, clock: TestClock, plugin: object) -> None:
        self.project, self.work, self.clock, self.plugin = project, work, clock, plugin
        self._with, self.head = kernel_with, ""
        self.kernel: Kernel

    def write(self, **entries: dict[str, Any]) -> None:
        """Have these entries in the file; each does `work do` unless it says otherwise."""
        usual = {name: {} if "workflow" in entry else {"verb": "work do"} for name, entry in entries.items()}
        found = {name: {**usual[name], **entry} for name, entry in entries.items()}
        (self.project / ".aegis.yaml").write_text(f"{self.head}schedules: {json.dumps(found)}\n")

    @asynccontextmanager
    async def open(self, **more: object) -> AsyncIterator[Kernel]:
        """Start aegis."""
        async with self._with(schedule=self.plugin, work=self.work, **more) as self.kernel:
            yield self.kernel
            assert not [*self.kernel.faults], [*self.kernel.faults]

    async def reload(self, **entries: dict[str, Any]) -> None:
        """Change the file and have it read."""
        self.write(**entries)
        await self.kernel.config.refresh("human:anna")

    async def call(self, what: str, by: Caller = ANNA, **args: Any) -> Any:
        """Call a verb of schedules."""
        return await self.kernel.verbs.call(by, f"schedule {what}", args)

    async def logs(self, name: str) -> list[str]:
        """Return the kinds of a schedule's records, with how it ended."""
        records = self.kernel.ledger.book("schedule").find(name)
        return [
            r.data.get("status") or (r.kind + (f" {r.data['reason']}" if "reason" in r.data else "")) for r in records
        ]
