"""The child's end of the pipe to the kernel: read by a thread, so that code that never waits still hears its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from typing import Any

import msgspec
import trio

from aegis_jsonrpc.connection import CLOSED, RpcError

MOST_MESSAGE = 16_000_000  # bytes of one message
_GRACE = 0.25  # seconds that code has to end once the kernel has hung up
_OURS = b'{"jsonrpc":"2.0","id":"s'  # an answer to a call that is waited for outside of trio


class Pipe:
    """Lines from and to the kernel, for trio and for code that cannot await."""

    def __init__(self, source: int, target: int) -> None:
        """Own both descriptors."""
        self._source, self._target = source, target
        self._lines: deque[bytes] = deque()
        self._waiting: dict[str, SimpleQueue[bytes]] = {}
        self._numbers, self._writing, self.closed = count(1), threading.Lock(), False
        self._news, self._token = trio.Event(), trio.lowlevel.current_trio_token()
        self.on_close: Callable[[], object] = lambda: None
        # It ends with the process, which is all that it serves; no task hears anything while code does not wait.
        threading.Thread(target=self._listen, daemon=True).start()  # noqa: TID251

    def _listen(self) -> None:
        with open(self._source, "rb") as stream:  # noqa: PTH123 - a descriptor
            for line in stream:
                if line.startswith(_OURS):
                    number = msgspec.json.decode(line)["id"]
                    if box := self._waiting.get(number):
                        box.put(line)
                else:
                    self._lines.append(line)
                    self._soon(self._tell)
        self.closed = True
        for box in list(self._waiting.values()):
            box.put(b"")
        self._soon(self._tell)
        self._soon(self.on_close)
        time.sleep(_GRACE)
        if os.getpgrp() == os.getpid():  # what the code started goes with it, also when the kernel was killed
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    def _soon(self, what: Callable[[], object]) -> None:
        try:
            self._token.run_sync_soon(what)
        except trio.RunFinishedError:
            pass

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def read(self) -> list[bytes]:
        """Return the next lines, none once the kernel has hung up."""
        while not self._lines:
            if self.closed:
                return []
            await self._news.wait()
        found = list(self._lines)
        for _ in found:
            self._lines.popleft()
        return found

    async def write(self, data: bytes) -> None:
        """Hand the message to the kernel, which always reads."""
        self._put(data)

    def _put(self, data: bytes) -> None:
        if len(data) > MOST_MESSAGE:
            raise ValueError(f"it has {len(data):,} bytes, and {MOST_MESSAGE:,} can be handed over")
        rest = memoryview(data)
        with self._writing:
            while rest:
                try:
                    rest = rest[os.write(self._target, rest) :]
                except BrokenPipeError:
                    raise RpcError(CLOSED, "the run has ended") from None

    def ask(self, method: str, **params: Any) -> Any:
        """Return the kernel's answer, waited for right here; raises `RpcError` with its error."""
        number = f"s{next(self._numbers)}"
        box = self._waiting[number] = SimpleQueue()
        try:
            self._put(msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n")
            line = box.get() if not self.closed else b""
        finally:
            del self._waiting[number]
        ended: dict[str, Any] = {"error": {"code": CLOSED, "message": "the run has ended"}}
        answer: dict[str, Any] = msgspec.json.decode(line) if line else ended
        if error := answer.get("error"):
            raise RpcError(error["code"], error["message"], error.get("data"))
        return answer.get("result")
