"""A workflow of the project, run in a process of its own: its engine's calls come over a pipe and are made here."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio

from aegis import AegisError, Kernel
from aegis.verb_definition import plain
from aegis_jsonrpc.connection import Connection, RpcError
from aegis_processes.processes import MARK, Command, running
from aegis_workflow.catalogue import Catalogue, name_of
from aegis_workflow.engine import WorkflowEngine
from aegis_workflow.errors import NeedsAttention, ProjectCodeFailed, WorkflowError
from aegis_workflow.project_files import ProjectWorkflow
from aegis_workflow.results import checked
from aegis_workflow.steps import Steps

_CALLS = frozenset({
    "spawn", "send", "ask", "tell", "drain", "close", "enqueue", "delegate", "bash", "ask_human", "sleep", "now",
    "checkpoint", "resume_state", "spawn_group", "broadcast", "wait_all", "wait_any", "wait_quorum", "rename_group",
    "move_member", "dissolve_group",
})  # fmt: skip
_PLACE = re.compile(r"(?:\d{1,9}\.\d{1,9}\.){0,50}")
_LONGEST = 20_000_000  # bytes of a message
_LINES, _LINE = 1_000, 10_000  # lines that are logged, and characters of each
_ANSWER = 1  # the code of an error that is the engine's
_PATIENCE = 2.0  # seconds that a workflow has to end by itself once none of its steps is taken any more


class ProjectRun:
    """One play of one run."""

    def __init__(
        self, kernel: Kernel, catalogue: Catalogue, flow: ProjectWorkflow, engine: WorkflowEngine, steps: Steps
    ) -> None:
        self._kernel, self._catalogue, self._flow, self._engine, self._steps = kernel, catalogue, flow, engine, steps
        self._ended: dict[str, Any] = {}
        self._over, self._stopping = trio.Event(), trio.Event()
        self._died = ""
        self._logged = 0

    async def play(self, check: Callable[[ProjectWorkflow], None], env: Mapping[str, str], memory: int) -> Any:
        """Return what the workflow returned; raises what it raised, or `WorkflowError` when its process died."""
        self._check = check
        check(self._flow)
        run, root = self._steps.run, self._kernel.project.root
        command = Command(_argv(root), {**env, MARK: run.mark()}, root, max_line=_LONGEST)
        begin = {
            "path": self._flow.file, "source": self._flow.source, "name": run.name, "id": run.id, "args": run.args,
            "config": plain(self._engine.config), "memory": memory,
        }  # fmt: skip
        async with running(command, self._kernel.base, ProcessEnded) as process:

            async def read() -> list[bytes]:
                try:
                    return await process.lines()
                except ProcessEnded as error:
                    self._died = str(error)
                    return []

            async def write(data: bytes) -> None:
                try:
                    await process.write(data)
                except ProcessEnded:
                    raise RpcError(_ANSWER, "the process of the workflow has ended") from None

            connection = Connection(read, write, self._handle, self._stray)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, nursery)
                nursery.start_soon(self._serve, connection)
                try:
                    await connection.notify("begin", begin)
                except RpcError:
                    pass  # how it died is said below
                await self._over.wait()
                nursery.cancel_scope.cancel()
        return self._outcome()

    async def _serve(self, connection: Connection) -> None:
        await connection.run()
        self._over.set()

    async def _watch(self, nursery: trio.Nursery) -> None:
        await self._stopping.wait()
        await trio.sleep(_PATIENCE)
        self._over.set()

    def _stray(self, line: bytes) -> None:
        self._died = f"its process wrote what is no message: {line[:100]!r}"
        self._over.set()

    def _outcome(self) -> Any:
        ended = self._ended
        if self._steps.stopped:
            raise self._steps.stopped
        if not ended:
            why = self._died.partition(" (pid ")[2].partition(") ")[2] or self._died
            raise WorkflowError(f"the process of the workflow {name_of(self._flow)!r} {why or 'has ended'}")
        if ended["state"] == "ok":
            return ended.get("result")
        if ended["state"] == "needs attention":
            raise NeedsAttention(str(ended["step"]), "", str(ended["error"]))
        raise ProjectCodeFailed(str(ended["error"]), str(ended["traceback"]), foreseen=bool(ended["foreseen"]))

    # -- what the process asks for ------------------------------------------------------------------------------

    async def _handle(self, method: str, params: Any) -> Any:
        if not isinstance(params, dict):
            raise RpcError(_ANSWER, f"{method} takes an object")
        if method == "ended":
            self._ended = {"state": "error", "error": "", "traceback": "", "foreseen": False, "step": "", **params}
            self._over.set()
            return None
        branch = params.get("branch", "")
        if not isinstance(branch, str) or not _PLACE.fullmatch(branch):
            raise RpcError(_ANSWER, f"{branch!r} is no place of steps")
        try:
            with self._steps.within(branch):
                return await self._answer(method, params)
        except (AegisError, TypeError, ValueError, LookupError, AttributeError) as error:
            if self._steps.stopped:
                self._stopping.set()
            raise RpcError(_ANSWER, str(error), _described(error)) from None

    async def _answer(self, method: str, params: dict[str, Any]) -> Any:
        engine = self._engine
        match method:
            case "call" if params.get("name") in _CALLS:
                value = await getattr(engine, params["name"])(*params.get("args", ()), **params.get("kwargs", {}))
                return checked(value, f"engine.{params['name']}")
            case "fork":
                return await self._steps.fork()
            case "place":
                return self._steps.peek()
            case "host":
                return engine.host
            case "list_sessions":
                return plain(engine.list_sessions())
            case "list_agents":
                return engine.list_agents()
            case "log":
                self._log(str(params.get("text", "")))
                return None
            case "names":
                return self._catalogue.names()
            case "code":
                return self._code(str(params.get("name", "")))
        raise RpcError(_ANSWER, f"an engine has no {params.get('name', method)!r}")

    def _log(self, text: str) -> None:
        if not self._steps.replaying:
            self._logged += 1
        if self._logged <= _LINES:
            self._engine.log(text if len(text) <= _LINE else f"{text[:_LINE]}… ({len(text):,} characters)")
        elif self._logged == _LINES + 1:
            self._engine.log(f"it says more than {_LINES:,} lines; the rest is not kept")
            self._logged += 1

    def _code(self, name: str) -> dict[str, str] | None:
        """Return where another workflow's code is, or the code itself if it is the project's."""
        function = self._catalogue.get(name)
        if isinstance(function, ProjectWorkflow):
            self._check(function)
            return {"path": function.file, "source": function.source}
        return {"module": f"{function.__module__}:{function.__qualname__}"} if function else None


class ProcessEnded(AegisError):
    """The process could not be started, or has ended."""


def _described(error: Exception) -> dict[str, Any]:
    """Return the error as the other side makes it again."""
    own = {name: getattr(error, name) for name in ("step", "queue", "decision") if hasattr(error, name)}
    found = {"kind": type(error).__name__, "data": getattr(error, "data", {}), "own": own}
    described: dict[str, Any] = msgspec.to_builtins(found, enc_hook=str)
    return described


def _argv(root: Path) -> list[str]:
    """Return how the process is started: without the current folder, or the project's, on its import path."""
    path = [entry for entry in sys.path if entry and Path(entry).is_absolute() and Path(entry) != root]
    given = msgspec.json.encode(path).decode()
    boot = (
        f"import sys; sys.path += [p for p in {given} if p not in sys.path]; import aegis_workflow.child as c; c.main()"
    )
    bare = ["-B"] if sys.dont_write_bytecode else []
    return [sys.executable, "-I", *bare, "-X", "utf8", "-c", boot]
