"""One end of a JSON-RPC 2.0 connection over newline-delimited JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from typing import Any

import trio

from aegis_jsonrpc.message import INTERNAL, INVALID, PARSE, Unreadable, decoded, encoded, encoded_answer, own_number

Handler = Callable[[str, Any], Awaitable[Any]]
Writer = Callable[[bytes], Awaitable[None]]
Reader = Callable[[], Awaitable[list[bytes]]]
NO_METHOD, CLOSED = -32601, -32000
AT_ONCE = 1_000  # requests of one peer that are served at the same time
_HUNG_UP: dict[str, Any] = {"error": {"code": CLOSED, "message": "the connection is closed"}}


class RpcError(Exception):
    """The other side answered with an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class Connection:
    """One peer: each of its requests gets a task; its notifications are handled in order, before what comes after."""

    def __init__(
        self, read: Reader, write: Writer, handle: Handler, stray: Callable[[bytes], None] | None = None,
        at_once: int = AT_ONCE, asked: Set[str] = frozenset(),
    ) -> None:  # fmt: skip
        """Speak through `read` (the next whole lines, none at the end) and `write`.

        `stray` gets what is no message. Without it the peer is told of all of that, with it only of lost requests: a
        program that logs to its output may log what it is told, too. Of the peer's requests `at_once` are served at the
        same time, and more are refused. Methods that are `asked` without an id, which nobody could answer,
        are no messages; nothing waits for them.
        """
        self._read, self._write, self._handle, self._stray = read, write, handle, stray
        self._pending: dict[Any, tuple[trio.Event, list[Any]]] = {}
        self._running = 0  # requests of the peer
        self._serving: dict[str, trio.CancelScope] = {}
        self._next, self._closed, self._at_once, self._asked = 0, False, at_once, asked

    async def request(self, method: str, params: Any = None) -> Any:
        """Return the peer's result; raises `RpcError` with its error, or with code `CLOSED` when it hung up."""
        self._next += 1
        number, event, box = self._next, trio.Event(), list[Any]()
        self._pending[number] = (event, box)
        try:
            if not self._closed:
                await self._send({"id": number, "method": method}, params)
                await event.wait()
        except trio.Cancelled:
            with trio.move_on_after(1, shield=True), suppress(RpcError):
                await self.notify("$/cancelRequest", {"id": number})
            raise
        finally:
            del self._pending[number]
        answer = box[0] if box else _HUNG_UP
        if "error" in answer:
            error = answer["error"]
            error = error if isinstance(error, dict) else {"message": str(error)}
            raise RpcError(error.get("code", INTERNAL), error.get("message", "error"), error.get("data"))
        return answer.get("result")

    async def notify(self, method: str, params: Any = None) -> None:
        """Tell the peer something that has no answer."""
        await self._send({"method": method}, params)

    async def _send(self, message: dict[str, Any], params: Any = None) -> None:
        more = {} if params is None else {"params": params}
        try:
            line = encoded({**message, **more})
        except ValueError as error:
            raise RpcError(INVALID, str(error)) from None
        await self._write(line)

    async def run(self) -> None:
        """Serve the connection until the peer hangs up; every open request then fails with `CLOSED`."""
        try:
            async with trio.open_nursery() as nursery:
                while lines := await self._read():
                    for line in lines:
                        await self._take(line, nursery)
                nursery.cancel_scope.cancel()
        finally:
            self._closed = True
            for event, _ in self._pending.values():
                event.set()

    async def _take(self, line: bytes, nursery: trio.Nursery) -> None:
        try:
            message = decoded(line)
        except Unreadable as error:
            await self._lost(line, error)
            return
        number, method, params = message.get("id"), message.get("method"), message.get("params")
        if method is None:
            self._answered(line, number, message)
        elif number is not None and self._running >= self._at_once:
            why = f"{self._at_once:,} requests are served on this connection already; wait for an answer"
            await self._write(encoded_answer(number, {"error": {"code": INVALID, "message": why}}))
        elif number is not None:
            self._running += 1
            nursery.start_soon(self._serve, number, method, params)
        elif method == "$/cancelRequest" and isinstance(params, dict):
            if scope := self._serving.get(str(params.get("id"))):
                scope.cancel()
        elif method in self._asked:
            self._strayed(line)
        else:
            try:
                await self._handle(method, params)
            except Exception:  # noqa: BLE001 - nobody waits for an answer, and the connection goes on
                self._strayed(line)

    def _answered(self, line: bytes, number: Any, message: dict[str, Any]) -> None:
        own = own_number(number)
        if own is not None and 0 < own <= self._next:
            self._settle({own}, message)  # one that nobody waits for any more is no news
            return
        self._strayed(line)
        error = message.get("error")
        unread = number is None and isinstance(error, dict) and error.get("code") == PARSE
        if unread:  # the peer could not read something of ours, and cannot say what
            self._settle(None, message)
        elif isinstance(number, int | str):
            self._fail(None, f"the other side answered a request {number!r} that was never made")

    async def _lost(self, line: bytes, error: Unreadable) -> None:
        self._strayed(line)
        if error.answers is None or error.answers:
            self._fail(error.answers, f"the answer cannot be read: {error}")
        if error.asks or (self._stray is None and line.strip()):
            answer = {"error": {"code": error.code, "message": str(error)}}
            with suppress(RpcError):  # it hung up
                await self._write(encoded_answer(error.number, answer))

    def _strayed(self, line: bytes) -> None:
        if self._stray:
            self._stray(line)

    def _fail(self, numbers: Set[int] | None, why: str) -> None:
        self._settle(numbers, {"error": {"code": INVALID, "message": why}})

    def _settle(self, numbers: Set[int] | None, answer: dict[str, Any]) -> None:
        """Give our requests of these numbers, of all numbers for None, this answer."""
        for number in self._pending.keys() if numbers is None else self._pending.keys() & numbers:
            event, box = self._pending[number]
            box.append(answer)
            event.set()

    async def _serve(self, number: Any, method: str, params: Any) -> None:
        answer: dict[str, Any] = {"error": {"code": INTERNAL, "message": "cancelled"}}
        with trio.CancelScope() as self._serving[str(number)]:
            try:
                answer = {"result": await self._handle(method, params)}
            except RpcError as error:
                answer = {"error": {"code": error.code, "message": str(error), "data": error.data}}
            except Exception as error:  # noqa: BLE001 - a handler's fault is the peer's answer, not the connection's end
                words, kind = str(error) or repr(error), type(error).__name__
                answer = {"error": {"code": INTERNAL, "message": words, "data": kind}}
        self._serving.pop(str(number), None)
        self._running -= 1
        with suppress(RpcError):  # it hung up before the answer
            await self._write(encoded_answer(number, answer))
