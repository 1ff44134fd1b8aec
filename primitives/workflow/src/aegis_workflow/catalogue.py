"""Which workflows there are: from plugins, by the hook `aegis_workflows`, and from this process, by `@workflow`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, overload

from aegis import ConfigError

Function = Callable[..., Awaitable[Any]]
_decorated: dict[str, Function] = {}
_offered: dict[str, Function] = {}
_files: list[Callable[[], dict[str, Function]]] = []
_reading: ContextVar[dict[str, Function] | None] = ContextVar("aegis_workflow_reading", default=None)


@overload
def workflow(name: Function) -> Function: ...
@overload
def workflow(name: str) -> Callable[[Function], Function]: ...


def workflow(name: Any) -> Any:
    """Register an async function whose first parameter is `engine`: `@workflow`, or `@workflow("its-name")`.

    Raises `ConfigError` when it is none, or when another function has the name.
    """
    if isinstance(name, str):
        return lambda function: _register(name, function)
    return _register(name.__name__, name)


def _register(name: str, function: Function) -> Function:
    _check(name, function)
    reading = _reading.get()
    here = _decorated if reading is None else reading
    known = here.get(key_of(name))
    if known and _origin(known) != _origin(function):  # one that is read again replaces itself
        raise ConfigError(f"two workflows are called {name!r}: {_where(known)} and {_where(function)}")
    function.workflow_name = name  # type: ignore[attr-defined]
    function.configure = lambda **defaults: _configure(function, defaults)  # type: ignore[attr-defined]
    here[key_of(name)] = function
    return function


def _origin(function: Any) -> tuple[str | None, str]:
    return inspect.getsourcefile(function), function.__qualname__


def _configure(function: Any, defaults: dict[str, Any]) -> Any:
    function.workflow_config = {**getattr(function, "workflow_config", {}), **defaults}
    return function


def _check(name: str, function: Any) -> None:
    parameters = list(inspect.signature(function).parameters) if callable(function) else []
    if not inspect.iscoroutinefunction(function) or parameters[:1] != ["engine"]:
        raise ConfigError(f"the workflow {name!r} must be an async function whose first parameter is `engine`")


@contextmanager
def reading() -> Iterator[dict[str, Function]]:
    """Enter with what `@workflow` registers inside, which nobody else has."""
    found: dict[str, Function] = {}
    token = _reading.set(found)
    try:
        yield found
    finally:
        _reading.reset(token)


def offer(functions: Iterable[Function], files: Callable[[], dict[str, Function]] = dict) -> None:
    """Have the workflows of the kernel's plugins and its project's `files` beside what this process registered."""
    found: dict[str, Function] = {}
    for function in functions:
        name = getattr(function, "workflow_name", function.__name__)
        _check(name, function)
        if (other := found.setdefault(key_of(name), function)) is not function:
            raise ConfigError(f"two workflows are called {name!r}: {_where(other)} and {_where(function)}")
    _offered.clear()
    _offered.update(found)
    _files[:] = [files]


def _of_files() -> dict[str, Function]:
    return {name: function for files in _files for name, function in files().items()}


def list_workflows() -> list[str]:
    """Return the names of all workflows; raises `ConfigError` when a file of the project cannot be read."""
    every = {**_of_files(), **_offered, **_decorated}
    return sorted(getattr(f, "workflow_name", f.__name__) for f in every.values())


def get_workflow(name: str) -> Function | None:
    """Return the workflow of this name, `-` and `_` alike, or None.

    Raises `ConfigError` when it may be in a file that cannot be read.
    """
    key = key_of(name)
    return _decorated.get(key) or _offered.get(key) or _of_files().get(key)


def version_of(function: Function) -> str:
    """Return a short digest of the file that the workflow is in: another one means that the code has changed."""
    try:
        source = Path(inspect.getsourcefile(function) or "").read_text()
    except (OSError, TypeError, ValueError):
        source = repr(function.__code__.co_code)
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def key_of(name: str) -> str:
    """Return the name by which a workflow is looked up."""
    return name.replace("-", "_")


def _where(function: Any) -> str:
    return f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}"
