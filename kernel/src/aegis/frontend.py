"""Where callers sit. A frontend holds no agent: it has a client, in the kernel's process or across its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import trio

from aegis.bus import Batch

Report = Callable[[str], object]


class Client(Protocol):
    """What every frontend is built on; values are JSON, events are `aegis.events`."""

    async def call(self, verb: str, args: Mapping[str, Any] | None = None) -> Any:
        """Return what the verb returns; raises `Refused` (or another `AegisError`) with its sentence."""

    async def perform(self, verb: str, args: Mapping[str, Any], report: Report = ...) -> tuple[Any, str | None]:
        """Return what the verb returns and what it says of itself, if it does; `report` hears how it gets on."""

    async def verbs(self) -> list[dict[str, Any]]:
        """Return the verbs this caller may use, as `Verb.describe` gives them."""

    async def complete(self, what: str) -> list[str]:
        """Return the values a completer knows now (`handle`, `profile`, …)."""

    async def snapshot(self) -> dict[str, Any]:
        """Return what a screen needs to start drawing; `watch(since=its["number"])` gives the changes that follow."""

    def watch(self, since: int | None = None) -> AbstractAsyncContextManager[AsyncIterator[list[Batch]]]:
        """Enter to see each event once, from then on or after a number; a `Gap` is what was missed or not kept."""


class Service(Protocol):
    """A surface that runs in the kernel: the agents' plane, Telegram, HTTP."""

    name: str

    async def run(self, started: trio.Event) -> None:
        """Serve until cancelled; set `started` once callers can come in."""


class Console(Protocol):
    """A surface at which a person sits."""

    name: str

    async def attach(self, client: Client) -> int:
        """Serve the person until they leave and return the exit code; cancelled when the kernel ends."""
