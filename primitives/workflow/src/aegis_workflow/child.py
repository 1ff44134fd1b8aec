"""The process in which a workflow of the project runs: its code, and nothing of the kernel's."""

from __future__ import annotations

import importlib
import io
import linecache
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from aegis import AegisError
from aegis_jsonrpc.connection import Connection, RpcError
from aegis_processes.cancellation import root_cause
from aegis_workflow.catalogue import Function, key_of, open_catalogue, reading
from aegis_workflow.child_engine import ChildEngine
from aegis_workflow.errors import NeedsAttention
from aegis_workflow.pipe import Pipe
from aegis_workflow.results import result_of
from aegis_workflow.tracebacks import author_traceback

_LINE = 4_000  # characters


class Said(io.TextIOBase):
    """What the code prints, line by line handed to the log of the run."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._rest = say, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        for line in lines:
            self._say(line[:_LINE])
        if len(self._rest) > _LINE:
            self._say(self._rest)
            self._rest = ""
        return len(text)

    def finish(self) -> None:
        """Say what has no line end."""
        if self._rest:
            self._say(self._rest)


class ChildCatalogue:
    """Every workflow, as one in the child sees them: code of others is brought here when it is asked for."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe, self._known = pipe, dict[str, Function]()

    def names(self) -> list[str]:
        """Return the names of all workflows."""
        found: list[str] = self._pipe.ask("names")
        return found

    def get(self, name: str) -> Function | None:
        """Return the workflow of this name, or None."""
        key = key_of(name)
        if key not in self._known:
            home = self._pipe.ask("code", name=name)
            if home is None:
                return None
            if "module" in home:
                module, _, own = home["module"].partition(":")
                self._known[key] = getattr(importlib.import_module(module), own)
            else:
                self.load(home["path"], home["source"])
        return self._known.get(key)

    def load(self, path: str, source: str) -> None:
        """Run a file of the project, and know the workflows that it has."""
        linecache.cache[path] = len(source), None, source.splitlines(keepends=True), path
        module = type(sys)(f"aegis_project_{len(sys.modules)}")
        module.__file__ = str(Path(path).absolute())
        sys.modules[module.__name__] = module  # dataclasses look their module up there
        with reading() as found:
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
        self._known |= found


def main() -> None:
    """Run the workflow that the kernel names on standard input, and say there how it ended."""
    source, target, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # what the code starts and prints by itself is among its last words
    trio.run(_run, source, target)
    with suppress(OSError, ValueError):
        sys.stdout.flush()


async def _run(source: int, target: int) -> None:
    pipe, scope = Pipe(source, target), trio.CancelScope()
    pipe.on_close = scope.cancel
    begin: dict[str, Any] = {}
    begun = trio.Event()

    async def handle(method: str, params: Any) -> None:
        if method == "begin":
            begin.update(params)
            begun.set()

    connection = Connection(pipe.read, pipe.write, handle)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        with scope:
            await begun.wait()
            if begin["memory"]:
                most = begin["memory"] * 1_000_000
                with suppress(OSError, ValueError):  # a system that keeps no such limit
                    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
            ended = await _played(connection, pipe, begin)
            with suppress(RpcError):
                await connection.request("ended", ended)
        nursery.cancel_scope.cancel()


async def _played(connection: Connection, pipe: Pipe, begin: dict[str, Any]) -> dict[str, Any]:
    engine, catalogue = ChildEngine(connection, pipe, begin), ChildCatalogue(pipe)
    open_catalogue(catalogue)
    kept, said = (sys.stdout, sys.stderr), Said(engine.log)
    sys.stdout = sys.stderr = said
    try:
        catalogue.load(begin["path"], begin["source"])
        function = catalogue._known.get(key_of(begin["name"]))  # noqa: SLF001 - its own file
        if function is None:
            raise AegisError(f"{begin['path']} has no workflow {begin['name']!r} once it is run")
        engine.config = {**getattr(function, "workflow_config", {}), **engine.config}
        value = await function(engine, **begin["args"])
        said.finish()
        return {"state": "ok", "result": result_of(begin["name"], value)}
    except trio.Cancelled:
        raise
    except BaseException as error:  # anybody's code: whatever it raises is how the run ends
        if isinstance(error, BaseExceptionGroup) and error.split(trio.Cancelled)[0]:
            raise
        cause = root_cause(error)
        with suppress(AegisError):
            said.finish()
        return _failed(cause)
    finally:
        sys.stdout, sys.stderr = kept


def _failed(cause: BaseException) -> dict[str, Any]:
    said = f"{cause}".encode(errors="backslashreplace").decode()[:100_000]
    kind, trace = type(cause).__name__, author_traceback(cause)
    known = {"kind": kind, "traceback": trace.encode(errors="backslashreplace").decode()}
    if isinstance(cause, NeedsAttention):
        return {"state": "needs attention", "step": cause.step, "error": said, **known}
    if isinstance(cause, AegisError):
        return {"state": "error", "error": said, "foreseen": True, **known}
    return {"state": "error", "error": f"{kind}: {said}", "foreseen": False, **known}
