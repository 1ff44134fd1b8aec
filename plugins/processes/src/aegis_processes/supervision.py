"""Tasks that crash are started again: a crash is caught here and only here, reported, and no sibling notices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from aegis_processes.cancellation import root_cause

LIMIT, WINDOW, BACKOFF = 5, 60.0, 0.1  # so many crashes in so many seconds mark a task down; first pause, doubling


@dataclass(slots=True, eq=False)
class Child:
    """One supervised task; `down` says why it will not run again."""

    name: str
    owner: str = ""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event = field(default_factory=trio.Event)
    crashes: list[float] = field(default_factory=list)
    down: str = ""


class Supervisor:
    """Runs named children side by side in a nursery; none can cancel a sibling.

    `report` is called with each crash: the task's name, what was raised, and whether the task is down. Of several
    errors at once one of the kind `first` is told.
    """

    def __init__(
        self, nursery: trio.Nursery, report: Callable[[str, str, bool], object], first: type[Exception] = Exception
    ) -> None:
        self._nursery, self._report, self._first = nursery, report, first
        self.children: dict[str, Child] = {}
        self._running: list[Child] = []

    def start(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        on_down: Callable[[str], None] = lambda why: None,
        owner: str = "",
    ) -> Child:
        """Run the task until it returns, starting it again after a crash with growing pauses; see `LIMIT`."""
        child = self.children[name] = Child(name, owner)
        self._running.append(child)
        self._nursery.start_soon(self._run, child, run, on_down, name=name)
        return child

    def runs(self, child: Child) -> bool:
        """Return whether the task is not over."""
        return child in self._running

    async def _run(self, child: Child, run: Callable[[], Awaitable[None]], on_down: Callable[[str], None]) -> None:
        try:
            with child.scope:
                while not child.down:
                    try:
                        await run()
                        break
                    except (Exception, BaseExceptionGroup) as error:  # the one place where a crash ends
                        cause, now = root_cause(error, self._first), trio.current_time()
                        if not isinstance(cause, Exception):
                            raise
                        child.crashes = [t for t in child.crashes if now - t < WINDOW] + [now]
                        child.down = repr(cause) if len(child.crashes) >= LIMIT else ""
                        self._report(child.name, repr(cause), bool(child.down))
                        if child.down:
                            on_down(child.down)
                        await trio.sleep(BACKOFF * 2 ** (len(child.crashes) - 1))
        finally:
            child.over.set()
            self._running.remove(child)
            if self.children.get(child.name) is child and not child.down:
                del self.children[child.name]

    async def remove(self, by: str) -> None:
        """End every task of this owner, the last started first, and wait until they are over."""
        for child in [c for c in self._running if c.owner == by][::-1]:
            child.scope.cancel()
            await child.over.wait()
        self.children = {name: child for name, child in self.children.items() if child.owner != by}

    def is_leaving(self, by: str) -> bool:
        """Return whether tasks of this owner are being ended while others go on."""
        return any(child.owner == by and child.scope.cancel_called for child in self._running)

    async def stop(self, name: str) -> None:
        """End the task and wait until it is over; nothing happens when there is none."""
        if child := self.children.get(name):
            child.scope.cancel()
            await child.over.wait()
