"""The engine as a workflow of the project has it, in a process of its own: each call is made in the kernel."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aegis import errors as kernel_errors
from aegis_jsonrpc.connection import CLOSED, Connection, RpcError
from aegis_workflow import errors
from aegis_workflow.compound_calls import CompoundCalls
from aegis_workflow.errors import WorkflowError
from aegis_workflow.pipe import Pipe
from aegis_workflow.results import as_json
from aegis_workflow.shell_result import Done
from aegis_workflow.side_by_side import side_by_side

CALLS = (
    "spawn", "send", "ask", "tell", "drain", "close", "enqueue", "delegate", "bash", "ask_human", "sleep", "now",
    "checkpoint", "resume_state", "spawn_group", "broadcast", "wait_all", "wait_any", "wait_quorum", "rename_group",
    "move_member", "dissolve_group",
)  # fmt: skip
_branch: ContextVar[str] = ContextVar("aegis_workflow_branch", default="")


class ChildEngine(CompoundCalls):
    """What `engine` is in a file of the project; `aegis_workflow.engine` says what each call does."""

    def __init__(self, connection: Connection, pipe: Pipe, run: Mapping[str, Any]) -> None:
        self._connection, self._pipe = connection, pipe
        self.name: str = run["name"]
        self._id: str = run["id"]
        self.config: dict[str, Any] = dict(run["config"])
        self._last = ""

    @property
    def workflow_id(self) -> str:
        """The run's id."""
        return self._id

    async def _call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given = as_json({"args": args, "kwargs": kwargs}, f"engine.{name}")
        try:
            return await self._connection.request("call", {"name": name, "branch": _branch.get(), **given})
        except RpcError as error:
            raise _raised(error) from None

    def _now(self, method: str, **params: Any) -> Any:
        try:
            return self._pipe.ask(method, branch=_branch.get(), **params)
        except RpcError as error:
            raise _raised(error) from None

    @property
    def host(self) -> str:
        """The handle of the agent that began the run, empty when a person did."""
        return str(self._now("host"))

    caller_handle = host

    def _place(self) -> str:
        return str(self._now("place"))

    def list_sessions(self) -> list[dict[str, Any]]:
        """Return the agents that are alive."""
        found: list[dict[str, Any]] = self._now("list_sessions")
        return found

    def list_agents(self) -> list[str]:
        """Return the profiles that can be spawned."""
        found: list[str] = self._now("list_agents")
        return found

    def log(self, message: Any) -> None:
        """Say something to those who follow the run; what was said before a restart is not said again."""
        self._now("log", text=str(message).encode(errors="backslashreplace").decode())

    async def parallel(self, works: Sequence[Awaitable[Any]]) -> list[Any]:
        """Return the results of calls that run side by side, in their order."""
        try:
            at = await self._connection.request("fork", {"branch": _branch.get()})
        except RpcError as error:
            raise _raised(error) from None
        return await side_by_side(works, lambda number: _in_branch(f"{at}.{number + 1}."))


def _made(name: str) -> Any:
    async def call(self: ChildEngine, *args: Any, **kwargs: Any) -> Any:
        if name in ("send", "ask", "tell"):
            self._last = str(args[0] if args else kwargs.get("handle", ""))
        value = await self._call(name, args, kwargs)
        return Done(**value) if name == "bash" else value

    call.__name__ = name
    call.__qualname__ = f"ChildEngine.{name}"
    return call


for _name in CALLS:
    setattr(ChildEngine, _name, _made(_name))


@contextmanager
def _in_branch(place: str) -> Iterator[None]:
    token = _branch.set(place)
    try:
        yield
    finally:
        _branch.reset(token)


def _raised(error: RpcError) -> Exception:
    """Return the error that the kernel raised, as the class it has there."""
    said = error.data if isinstance(error.data, dict) else {}
    for home in (errors, kernel_errors, builtins):
        found = getattr(home, str(said.get("kind")), None)
        if isinstance(found, type) and issubclass(found, Exception):
            if not issubclass(found, kernel_errors.AegisError):
                return found(str(error))
            made = found.__new__(found)
            kernel_errors.AegisError.__init__(made, str(error), **said.get("data", {}))
            for name, value in said.get("own", {}).items():
                setattr(made, name, value)
            return made
    return WorkflowError("the run has ended" if error.code == CLOSED else str(error))
