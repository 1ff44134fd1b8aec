"""One call and out: a blocking client of the control socket that needs nothing but the standard library."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from aegis.errors import AegisError, ConfigError
from aegis.project import Project
from aegis_cli.protocol import rebuilt
from aegis_cli.socket_path import check_peer, safe_socket_of
from aegis_jsonrpc.utf8 import fault

_AGAIN = 0.02  # seconds between two attempts to connect
_HELLO = 5.0  # seconds a healthy kernel never needs to answer what takes no work


class NotRunning(AegisError):
    """No kernel runs in this project."""


class BlockingClient:
    """A connection to the project's kernel; entering connects, raising `NotRunning` when nobody listens."""

    def __init__(self, project: Project, *, limit: float = _HELLO) -> None:
        """Speak to the kernel of `project`; `limit` limits connecting and questions that take no work."""
        self._project, self._limit = project, limit
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._number = 0
        self.warning = ""  # what is said beside the answer of the last verb that was performed
        self.exit_code = 0  # how a shell ends that had this verb performed

    def __enter__(self) -> BlockingClient:
        try:
            self._connect()
        except BaseException:
            self._socket.close()
            raise
        return self

    def _connect(self) -> None:
        root = self._project.root
        self._socket.settimeout(self._limit)
        try:
            path = safe_socket_of(self._project)
            self._admitted(str(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NotRunning(
                f"no aegis runs in {root}; start one with `aegis` (a REPL) or `aegis serve` (without a screen)"
            ) from None
        except PermissionError:
            raise AegisError(f"the aegis in {root} belongs to another user, and serves only that user") from None
        except OSError as error:
            raise AegisError(f"the aegis in {root} does not answer at {path}: {error.strerror or error}") from None
        check_peer(self._socket, path)

    def _admitted(self, path: str) -> None:
        """Connect; where more wait to be let in than the system allows, wait as long as for an answer."""
        end = time.monotonic() + self._limit
        while True:
            try:
                return self._socket.connect(path)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(_AGAIN)

    def __exit__(self, *exc: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._socket.close()

    def ask(self, method: str, **params: Any) -> Any:
        """Return the answer to a question that takes no work; raises `AegisError` when none comes in time."""
        return self._request(method, params, self._limit, lambda _: None)

    def perform(
        self, verb: str, args: dict[str, Any], report: Callable[[str], None] = lambda _: None
    ) -> tuple[Any, str | None]:
        """Return the verb's value and the sentence its value says of itself, if it does; `report` hears progress.

        Raises the verb's `AegisError`. Leaving the client in the meantime cancels the call.
        """
        answer = self._request("perform", {"verb": verb, "args": args}, None, report)
        self.warning = answer.get("warning", "")
        self.exit_code = answer.get("exit_code", 0)
        return answer["value"], answer.get("text")

    def watch(self) -> Iterator[list[Any]]:
        """Yield lists of `[agent id, [event, …], number of the last]` from now on until the kernel ends."""
        self.ask("watch")
        for message in self._messages(None):
            if message.get("method") == "events":
                yield message["params"]["batches"]

    def _request(self, method: str, params: dict[str, Any], limit: float | None, report: Callable[[str], None]) -> Any:
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        try:
            line = json.dumps(request, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:  # halves of surrogate pairs, which JSON in an argument may spell out
            wrong = UnicodeEncodeError("utf-8", error.object[error.start], 0, 1, error.reason)
            raise ConfigError(
                f"a text is {fault(wrong).rpartition(' at ')[0].rstrip(',')}, which is no character"
            ) from None
        try:
            self._socket.sendall(line + b"\n")
        except OSError:
            pass  # what the other side said before it hung up, or that it said nothing, is found below
        for message in self._messages(limit):
            if message.get("method") == "progress":
                report(str(message["params"]["text"]))
            elif "method" not in message and message.get("id") in (self._number, None):  # None: it was not readable
                if failure := message.get("error"):
                    raise rebuilt(failure.get("message", "it failed"), failure.get("data"))
                return message["result"]
        raise AegisError(f"the aegis in {self._project.root} ended, or sent this user away, before it answered")

    def _messages(self, limit: float | None) -> Iterator[dict[str, Any]]:
        self._socket.settimeout(limit)
        while True:
            while self._lines:
                try:
                    message = json.loads(self._lines.popleft().decode(errors="replace"))
                except (ValueError, RecursionError) as error:
                    raise AegisError(f"the aegis in {self._project.root} said what is no JSON: {error}") from None
                if isinstance(message, dict):
                    yield message
            try:
                chunk = self._socket.recv(65_536)
            except TimeoutError:
                raise AegisError(f"the aegis in {self._project.root} did not answer within {limit:g} s") from None
            except ConnectionError:
                chunk = b""
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(lines)
