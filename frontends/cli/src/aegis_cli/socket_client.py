"""A client of a kernel in another process, over its control socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import trio

from aegis.bus import Batch, Bus, Subscription
from aegis.errors import AegisError
from aegis.events import decode
from aegis.frontend import Report
from aegis_cli.lines import line_reader, line_writer
from aegis_cli.protocol import rebuilt
from aegis_cli.socket_path import check_peer
from aegis_jsonrpc.connection import Connection, RpcError

_BEHIND = 50_000  # events that a watcher may be behind


class _Watch(Subscription):
    """What one watch of the client is told; iterating ends when the kernel has hung up and everything is told."""

    over = False

    def end(self) -> None:
        self.over = True
        self._wake.set()

    async def __anext__(self) -> list[Batch]:
        if self.over and not self.size:
            raise StopAsyncIteration
        return await super().__anext__()


class SocketClient:
    """A caller in another process, speaking to the kernel's control socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._connection = Connection(line_reader(stream), line_writer(stream), self._heard)
        self._bus = Bus()
        self.ended = trio.Event()
        self._reports: dict[int, Report] = {}
        self._watches: dict[int, _Watch] = {}
        self._calls = count()

    async def run(self) -> None:
        """Carry what is said until the kernel hangs up, which `ended` then says."""
        try:
            await self._connection.run()
        finally:
            self.ended.set()
            for news in self._watches.values():
                news.end()

    async def _heard(self, method: str, params: Any) -> None:
        if method == "events":
            if news := self._watches.get(params["watch"]):
                for agent_id, events, number in params["batches"]:
                    news.push(Batch(agent_id, tuple(map(decode, events)), number))
        elif method == "progress":
            self._reports.get(params.get("call"), _nobody)(params["text"])

    async def _request(self, method: str, **params: Any) -> Any:
        try:
            return await self._connection.request(method, params)
        except RpcError as error:
            raise rebuilt(str(error), error.data) from None

    async def hello(self) -> dict[str, Any]:
        """Return the kernel's protocol version, pid and project."""
        answer: dict[str, Any] = await self._request("hello")
        return answer

    async def call(self, verb: str, args: Mapping[str, Any] | None = None) -> Any:
        """Return what the verb returns, as JSON; raises `AegisError`."""
        return (await self.perform(verb, args or {}))[0]

    async def perform(
        self, verb: str, args: Mapping[str, Any], report: Report = lambda text: None
    ) -> tuple[Any, str | None]:
        """Return what the verb returns, as JSON, and what it says of itself; `report` hears progress."""
        call = next(self._calls)
        self._reports[call] = report
        try:
            answer = await self._request("perform", verb=verb, args=dict(args), call=call)
        finally:
            del self._reports[call]
        return answer["value"], answer["text"]

    async def verbs(self) -> list[dict[str, Any]]:
        """Return the verbs this caller may use."""
        answer: list[dict[str, Any]] = await self._request("verbs")
        return answer

    async def complete(self, what: str) -> list[str]:
        """Return the values a completer knows now."""
        answer: list[str] = await self._request("complete", what=what)
        return answer

    async def snapshot(self) -> dict[str, Any]:
        """Return what a screen needs to start drawing, and who asks."""
        answer: dict[str, Any] = await self._request("snapshot")
        return answer

    async def quit(self) -> None:
        """Ask the kernel to stop."""
        await self._request("quit")

    @asynccontextmanager
    async def watch(self, since: int | None = None) -> AsyncIterator[AsyncIterator[list[Batch]]]:
        """Enter to see everything that happens from then on, or after a number, until the kernel hangs up."""
        name = next(self._calls)
        news = self._watches[name] = _Watch(self._bus, _BEHIND)
        try:
            await self._request("watch", watch=name, since=since)
            yield news
        finally:
            del self._watches[name]
            with trio.move_on_after(1, shield=True), suppress(RpcError):
                await self._connection.notify("unwatch", {"watch": name})


def _nobody(_: str) -> None:
    """Hear what is said of a call that is over."""


@asynccontextmanager
async def connected(path: str) -> AsyncIterator[SocketClient]:
    """Enter a client of the kernel whose control socket this is; raises `AegisError` when nobody listens."""
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as error:
        raise AegisError(f"no aegis answers at {path}: {error.strerror or error}") from None
    async with stream:
        check_peer(stream.socket, path)
        async with trio.open_nursery() as nursery:
            client = SocketClient(stream)
            nursery.start_soon(client.run)
            yield client
            nursery.cancel_scope.cancel()
