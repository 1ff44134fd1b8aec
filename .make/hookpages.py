"""The page of hooks: each with when it is called, what it gets and returns, and an example that is tested."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from types import ModuleType

from workspace import ROOT

from aegis import hookspecs
from aegis.interceptors import POINTS, Interceptor

EXAMPLE = ROOT / "docs" / "examples" / "every_hook.py"
_FACTS = re.compile(r"^(When|Gets|Returns|Raises): (.+)$", re.MULTILINE)


class Examples:
    """The functions of the example plugin: what their docstrings say, and their code."""

    def __init__(self, path: Path) -> None:
        self._text = path.read_text(encoding="utf-8")
        self._tree = ast.parse(self._text)

    @cached_property
    def _top(self) -> dict[str, ast.stmt]:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return {node.name: node for node in self._tree.body if isinstance(node, kinds)}

    @cached_property
    def points(self) -> dict[str, ast.AsyncFunctionDef]:
        """The interceptor points, by name."""
        policy = self._top["Policy"]
        assert isinstance(policy, ast.ClassDef)
        return {n.name: n for n in policy.body if isinstance(n, ast.AsyncFunctionDef)}

    def hook(self, name: str) -> str:
        """Return what the example says of a hook, and its code with the classes it uses; empty if it has none."""
        node = self._top.get(name)
        if not isinstance(node, ast.FunctionDef):
            return ""
        return f"{facts(node)}\n\n```py\n{self._code(node)}\n```"

    def point(self, name: str) -> str:
        """Return what the example says of an interceptor point, and its code."""
        node = self.points[name]
        what = (ast.get_docstring(node) or "").splitlines()[0]
        return f"{what}\n\n{facts(node)}\n\n```py\n{self._source(node)}\n```"

    def _code(self, node: ast.FunctionDef) -> str:
        """Return the code of a hook after that of everything of the module it names, but for interceptors."""
        named = self._named(node)
        return "\n\n\n".join(self._source(n) for n in self._tree.body if n in named or n is node)

    def _named(self, node: ast.AST) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for inner in ast.walk(node):
            top = self._top.get(inner.id) if isinstance(inner, ast.Name) and inner.id != "Policy" else None
            if top is not None and top is not node and top not in found:
                found += [top, *self._named(top)]
        return found

    def _source(self, node: ast.stmt) -> str:
        """Return the source of a function or class; a function's docstring stands beside it already."""
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        skip: range = range(0)
        if not isinstance(node, ast.ClassDef) and _FACTS.search(ast.get_docstring(node) or ""):
            skip = range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
        lines = self._text.splitlines()
        kept = [lines[n - 1] for n in range(first, (node.end_lineno or first) + 1) if n not in skip]
        if len(node.body) == 1 and skip:
            kept[-1] += " ..."
        return dedent("\n".join(kept))


def facts(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return what a docstring says of when a function is called, what it gets, and what it returns."""
    return "\n".join(f"- **{name}**: {what}" for name, what in _FACTS.findall(ast.get_docstring(node) or ""))


def specs(things: Iterable[object]) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield each hook spec of these modules or objects by name."""
    for thing in things:
        found = inspect.getmembers(thing, lambda member: hasattr(member, "aegis_spec"))
        yield from found


def published(plugins: Iterable[tuple[str, ModuleType]]) -> dict[str, list[tuple[str, Callable[..., object]]]]:
    """Return the specs that plugins publish, by plugin."""
    asked = ((name, getattr(module, "aegis_hookspecs", None)) for name, module in plugins)
    return {name: list(specs([hook()])) for name, hook in asked if hook}


def parts(plugins: Iterable[tuple[str, ModuleType]]) -> Iterator[str]:
    """Yield the parts of the page."""
    examples = Examples(EXAMPLE)
    yield inspect.cleandoc(hookspecs.__doc__ or "")
    yield (
        "The examples are one plugin, [every_hook.py](../examples/every_hook.py), which the tests run. "
        "`from aegis import …` brings what they use."
    )
    for name, spec in specs([hookspecs]):
        yield _hook(name, spec, "", examples)
    for plugin, found in published(plugins).items():
        for name, spec in found:
            yield _hook(name, spec, f"Published by `{plugin}`: mark it `@hookimpl(optionalhook=True)`.\n\n", examples)
    about, _, _ = inspect.cleandoc(Interceptor.__doc__ or "").partition("\nbefore_spawn(")
    yield f"## Interceptor points\n\n{about.strip()}"
    order = [*examples.points, *sorted(POINTS - examples.points.keys())]
    for name in order:
        yield f"### {name}\n\n{examples.point(name) if name in examples.points else ''}"


def _hook(name: str, spec: Callable[..., object], note: str, examples: Examples) -> str:
    signature = f"{name}{inspect.signature(spec)}".replace("'", "")
    doc = inspect.cleandoc(spec.__doc__ or "")
    return f"## {name}\n\n```text\n{signature}\n```\n\n{doc}\n\n{note}{examples.hook(name)}"
