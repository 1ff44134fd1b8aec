"""The project's own workflow files, named by `workflows.files`: read, never run here; read again once changed."""

from __future__ import annotations

import ast
import hashlib
import stat
from collections.abc import Callable, Iterator, Sequence
from importlib.util import decode_source
from inspect import Signature, cleandoc
from pathlib import Path
from typing import Any, NamedTuple

from aegis import AegisError, ConfigError
from aegis_workflow.catalogue import key_of
from aegis_workflow.signatures import Names, signature_of

_MOST, _FILES = 200_000, 200  # bytes of a file, and files: reading them takes the kernel's time
_DECORATORS = frozenset({
    "aegis_workflow.api.workflow", "aegis_workflow.catalogue.workflow", "aegis.workflow.workflow", "aegis.workflow",
})  # fmt: skip


class ProjectWorkflow:
    """A workflow of a project's file, as its source says it; it runs in a process of its own."""

    def __init__(
        self, name: str, path: Path, source: str, where: str, function: ast.AsyncFunctionDef, names: Names
    ) -> None:
        self.workflow_name, self.path, self.source, self.place = name, path, source, where
        self.file, self.line = where.rpartition(":")[0], function.lineno
        self.__doc__ = cleandoc(ast.get_docstring(function, clean=False) or "")
        self.__signature__ = signature_of(function, names)
        self.version = hashlib.sha256(source.encode()).hexdigest()[:12]

    @property
    def signature(self) -> Signature:
        """What it takes."""
        return self.__signature__

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"{self.workflow_name} is a workflow of {self.file}: `workflow run` begins it, nobody else calls it"
        )


class Read(NamedTuple):
    """What the files have, and the error of each that cannot be read, with its text."""

    workflows: dict[str, ProjectWorkflow]
    wrong: list[tuple[AegisError, str]]


class ProjectFiles:
    """Python files of a project; what they decorate with `@workflow` is offered."""

    def __init__(
        self, root: Path, patterns: Callable[[], Sequence[str]], content: Callable[[Path], bytes] = Path.read_bytes
    ) -> None:
        """`patterns` returns what `workflows.files` says now; `content` raises for a file that nobody trusts."""
        self._root, self._patterns, self._content = root, patterns, content
        self._known: dict[Path, tuple[str, list[ProjectWorkflow] | AegisError]] = {}

    def read(self) -> Read:
        """Return every workflow by the name it is looked up by, and what is wrong with files that have none."""
        found = Read({}, [])
        for path in self._paths(found.wrong):
            held, text = self._of(path)
            for one in held if isinstance(held, list) else ():
                if (other := found.workflows.setdefault(key_of(one.workflow_name), one)) is not one:
                    both = f"two workflows are called {one.workflow_name!r}: {other.place} and {one.place}; rename one"
                    found.wrong.append((ConfigError(both), text))
            if isinstance(held, AegisError):
                found.wrong.append((held, text))
        return found

    def check(self, one: ProjectWorkflow) -> None:
        """Raise the error when the file is not, as it was read, trusted any more."""
        if decode_source(self._content(one.path)) != one.source:
            raise ConfigError(f"{one.file} has just changed; try again")

    def _paths(self, wrong: list[tuple[AegisError, str]]) -> list[Path]:
        paths: set[Path] = set()
        for pattern in self._patterns():
            try:
                paths |= set(self._root.glob(pattern))
            except (ValueError, NotImplementedError, IndexError):
                why = "a path below the project, `flows/*.py` for example, is"
                wrong.append((ConfigError(f"workflows.files: {pattern!r} names no files here; {why}"), ""))
        if len(paths) > _FILES:
            wrong.append((ConfigError(f"workflows.files names {len(paths)} files, and {_FILES} are read"), ""))
        return sorted(paths)[:_FILES]

    def _of(self, path: Path) -> tuple[list[ProjectWorkflow] | AegisError, str]:
        where = path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)
        text = ""
        try:
            file = path.stat()
            if not stat.S_ISREG(file.st_mode) or file.st_size > _MOST:
                what = f"it has more than {_MOST:,} bytes" if stat.S_ISREG(file.st_mode) else "it is no file"
                raise ConfigError(f"{where}: it cannot be read: {what}")
            text = decode_source(path.read_bytes())  # as Python does: by its coding line, else UTF-8
            text = decode_source(self._content(path))
        except AegisError as error:
            return error, text
        except (OSError, SyntaxError, ValueError) as error:
            return ConfigError(f"{where}: it cannot be read: {getattr(error, 'strerror', '') or error}"), ""
        known = self._known.get(path)
        if known is None or known[0] != text:
            known = self._known[path] = text, _parsed(path, where, text)
        return known[1], text


def _parsed(path: Path, where: str, text: str) -> list[ProjectWorkflow] | AegisError:
    try:
        module = ast.parse(text, str(path))
        names, found = Names(module), dict[str, ProjectWorkflow]()
        for function, name in _decorated(module.body, names, where):
            one = ProjectWorkflow(name, path, text, f"{where}:{function.lineno}", function, names)
            if (other := found.setdefault(key_of(name), one)) is not one:
                raise ConfigError(f"two workflows are called {name!r}: {other.place} and {one.place}; rename one")
        return list(found.values())
    except SyntaxError as error:
        return ConfigError(f"{where}:{error.lineno or 1}: SyntaxError: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return ConfigError(f"{where}:1: {type(error).__name__}: {str(error) or 'its code is nested too deeply'}")
    except ConfigError as error:
        return error


def _decorated(body: Sequence[ast.stmt], names: Names, where: str) -> Iterator[tuple[ast.AsyncFunctionDef, str]]:
    """Yield the functions that `@workflow` decorates, each with its workflow's name."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            parts = [getattr(node, part, []) for part in ("body", "orelse", "finalbody")]
            for part in parts:
                yield from _decorated(part, names, where)
        elif isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                if (name := _name(decorator, node.name, names, f"{where}:{decorator.lineno}")) is not None:
                    if not isinstance(node, ast.AsyncFunctionDef) or _first(node) != "engine":
                        what = "must be an async function whose first parameter is `engine`"
                        raise ConfigError(f"{where}:{node.lineno}: the workflow {name!r} {what}")
                    if hidden := [
                        arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg) and arg.arg[0] == "_"
                    ]:
                        why = f"the parameter {hidden[0]!r} of {name!r} begins with `_`, and so cannot be an option"
                        raise ConfigError(f"{where}:{node.lineno}: {why}")
                    yield node, name


def _name(decorator: ast.expr, own: str, names: Names, where: str) -> str | None:
    """Return the name that this decorator gives a workflow, None when it is another decorator."""
    call = decorator if isinstance(decorator, ast.Call) else None
    full = names.full(call.func if call else decorator)
    if full not in _DECORATORS and not (
        full == "workflow" and any(f"{s}.workflow" in _DECORATORS for s in names.stars)
    ):
        return None
    match call.args if call else []:
        case []:
            return own
        case [ast.Constant(value=str() as name)]:
            return name
        case [ast.Name(id=name)] if name in names.constants:
            return names.constants[name]
    raise ConfigError(
        f'{where}: the name of a workflow is a plain text, `@workflow("its-name")`: files are not run to read it'
    )


def _first(function: ast.AsyncFunctionDef) -> str:
    places = [*function.args.posonlyargs, *function.args.args]
    return places[0].arg if places else ""
