"""The client in the kernel's own process; others cross its control socket, or another surface, by the same protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from aegis.bus import Subscription
from aegis.callers import Caller
from aegis.events import Text, Thought
from aegis.frontend import Report
from aegis.verb_definition import plain
from aegis.verbs import progress

if TYPE_CHECKING:
    from aegis.app import Kernel

GLANCE = 0.05  # seconds that words on their way to a screen wait for more; whatever else happens takes them along


class LocalClient:
    """A caller in the kernel's process; what each method does is said at `frontend.Client`."""

    def __init__(self, kernel: Kernel, caller: Caller) -> None:
        self._kernel, self.caller = kernel, caller

    async def call(self, verb: str, args: Mapping[str, Any] | None = None) -> Any:
        return (await self.perform(verb, args or {}))[0]

    async def perform(
        self, verb: str, args: Mapping[str, Any], report: Report = lambda text: None
    ) -> tuple[Any, str | None]:
        with progress(report):
            value = await self._kernel.verbs.call(self.caller, verb, args)
        return plain(value), sentence(value)

    async def verbs(self) -> list[dict[str, Any]]:
        return [v.describe() for v in self._kernel.verbs.visible(self.caller)]

    async def complete(self, what: str) -> list[str]:
        return self._kernel.verbs.completions(what)

    async def snapshot(self) -> dict[str, Any]:
        return self._kernel.snapshot() | {"caller": str(self.caller)}

    @asynccontextmanager
    async def watch(self, since: int | None = None) -> AsyncIterator[Subscription]:
        bus = self._kernel.bus
        with bus.subscribe(since=since, every=GLANCE, patient=(Text, Thought)) as news:
            if since is not None and news.earlier:
                news.earlier = await bus.recall(since, news.earlier[0].number)
            yield news


def sentence(value: Any) -> str | None:
    """Return what a verb's value says of itself to people, or None when it only has fields."""
    if isinstance(value, msgspec.Struct | list) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return str(value) if type(value).__str__ is not object.__str__ else None
    return None
