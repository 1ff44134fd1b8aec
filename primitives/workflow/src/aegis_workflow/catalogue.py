"""Which workflows there are: from plugins, by the hook `aegis_workflows`, and from this process, by `@workflow`."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, overload

from aegis import AegisError, ConfigError, NotFound, Registry
from aegis.errors import listed, nearest

Function = Callable[..., Awaitable[Any]]
_decorated: dict[str, Function] = {}
_reading: ContextVar[dict[str, Function] | None] = ContextVar("aegis_workflow_reading", default=None)


@overload
def workflow(name: Function) -> Function: ...
@overload
def workflow(name: str) -> Callable[[Function], Function]: ...


def workflow(name: Any) -> Any:
    """Register an async function whose first parameter is `engine`: `@workflow`, or `@workflow("its-name")`.

    Raises `ConfigError` when it is not one, or when another function has the name.
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


class Files(Protocol):
    """The workflows of files, and the error of each file that cannot be read, with its text."""

    def read(self) -> tuple[Mapping[str, Function], Sequence[tuple[AegisError, str]]]: ...


class Known(Protocol):
    """What `list_workflows` and `get_workflow` ask."""

    def names(self) -> list[str]: ...

    def get(self, name: str) -> Function | None: ...


class NoFiles:
    """No project."""

    def read(self) -> tuple[Mapping[str, Function], Sequence[tuple[AegisError, str]]]:
        return {}, ()


class Catalogue:
    """The workflows of a kernel: those of the project's files, this process's own, and those that plugins offer.

    Of two that have one name the project's is the one, then this process's own.
    """

    def __init__(self, offered: Registry[Function], files: Files) -> None:
        self._offered, self._files = offered, files

    def names(self) -> list[str]:
        """Return the names of all workflows; raises the error of a file of the project that cannot be read."""
        found, wrong = self._files.read()
        for why, _ in wrong:
            raise why
        return sorted(map(name_of, {**dict(self._offered.items()), **_decorated, **found}.values()))

    def get(self, name: str, source: str = "") -> Function | None:
        """Return the workflow of this name, `-` and `_` alike, or None; of this source, if one is said.

        Raises `ConfigError` when it may be in a file that cannot be read.
        """
        key = key_of(name)
        found, wrong = self._files.read()
        if key not in found:
            for why, text in wrong:
                if not text or any(spelled in text for spelled in {name, key, key.replace("_", "-")}):
                    raise why
        every = [one for one in (found.get(key), _decorated.get(key), self._offered.get(key)) if one]
        return next((one for one in every if source in ("", self.source(one))), None)

    def find(self, name: str) -> Function:
        """Return the workflow of this name; raises `NotFound` with those there are."""
        if function := self.get(name):
            return function
        known = self.names()
        raise NotFound(f"there is no workflow {name!r} (workflows: {listed(known)}).{nearest(name, known)}")

    def source(self, function: Any) -> str:
        """Return where a workflow comes from: the file of the project, the plugin; empty when this process made it."""
        if file := getattr(function, "file", ""):
            return str(file)
        key = key_of(name_of(function))
        return self._offered.owners().get(key, "") if self._offered.get(key) is function else ""

    def remarks(self) -> list[str]:
        """Return which workflow of a plugin cannot be run, because the project has one of its name."""
        found, whose = self._files.read()[0], self._offered.owners()
        return [
            f"{_where(one)}: its workflow {name_of(one)!r} is run, and that of the plugin {whose[key]!r} has no effect."
            for key, one in found.items()
            if key in whose
        ]


_nothing = Catalogue(Registry("workflow"), NoFiles())
_current: list[Known] = [_nothing]


def open_catalogue(catalogue: Known) -> None:
    """Let `list_workflows` and `get_workflow` look here from now on."""
    _current[0] = catalogue


def close_catalogue(catalogue: Known) -> None:
    """Let them look here no more."""
    if _current[0] is catalogue:
        _current[0] = _nothing


def current_catalogue() -> Catalogue:
    """Return the catalogue of the kernel that runs here, or that of this process alone."""
    return found if isinstance(found := _current[0], Catalogue) else _nothing


def list_workflows() -> list[str]:
    """Return the names of all workflows; raises the error of a file of the project that cannot be read."""
    return _current[0].names()


def get_workflow(name: str) -> Function | None:
    """Return the workflow of this name, `-` and `_` alike, or None.

    Raises `ConfigError` when it may be in a file that cannot be read.
    """
    return _current[0].get(name)


def version_of(function: Any) -> str:
    """Return a short digest of the file that the workflow is in: another one means that the code has changed."""
    if own := getattr(function, "version", ""):
        return str(own)
    try:
        source = Path(inspect.getsourcefile(function) or "").read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError, ValueError):
        source = repr(function.__code__.co_code)
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def key_of(name: str) -> str:
    """Return the key under which a workflow is found by its name."""
    return name.replace("-", "_")


def name_of(function: Any) -> str:
    """Return the name of a workflow."""
    return str(getattr(function, "workflow_name", None) or function.__name__)


def offered_key(function: Any) -> str:
    """Return the key of a workflow that a plugin offers; raises `ConfigError` when it is not one."""
    name = name_of(function)
    _check(name, function)
    return key_of(name)


def _where(function: Any) -> str:
    if place := getattr(function, "place", ""):
        return str(place)
    return f"{inspect.getsourcefile(function)}:{function.__code__.co_firstlineno}"
