"""Tasks of plugins and agents: a crash is caught here and only here, reported, and the task started again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from aegis.bus import Bus
from aegis.errors import AegisError
from aegis.events import Fault
from aegis.registry import Taken, acts
from aegis_processes import cancellation, supervision

root_cause = partial(cancellation.root_cause, first=AegisError)


class Supervisor(supervision.Supervisor):
    """Runs the kernel's tasks, each for the plugin that started it; a crash is a `Fault`."""

    def __init__(self, nursery: trio.Nursery, bus: Bus) -> None:
        super().__init__(nursery, lambda name, why, final: bus.report(Fault(name, why, final)), AegisError)

    def start(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        on_down: Callable[[str], None] = lambda why: None,
        owner: str = "",
    ) -> supervision.Child:
        """Run the task until it returns, for whoever acts now; raises `Taken` while another's runs under the name."""
        owner = owner or acts()
        if (held := self.children.get(name)) and held.owner != owner and self.runs(held):
            raise Taken(f"plugins {held.owner or 'kernel'!r} and {owner or 'kernel'!r} both run a task {name!r}")
        return super().start(name, run, on_down, owner)
