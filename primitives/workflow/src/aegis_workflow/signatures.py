"""What a workflow takes, read from its source: nothing of it is run."""

from __future__ import annotations

import ast
import operator
from inspect import Parameter, Signature
from pathlib import Path
from types import EllipsisType
from typing import Annotated, Any, Literal, Union

from pydantic import Field

_PLAIN: dict[str, Any] = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "tuple": tuple, "set": set, "dict": dict,
    "object": Any, "bytes": str, "typing.Any": Any, "typing.List": list, "typing.Tuple": tuple, "typing.Set": set,
    "typing.Dict": dict, "pathlib.Path": Path,
}  # fmt: skip
_LISTS = frozenset({"Sequence", "Iterable", "Collection", "MutableSequence", "FrozenSet", "frozenset", "Set"})
_DICTS = frozenset({"Mapping", "MutableMapping"})
UNKNOWN = object()  # a default that only the code itself knows


class Names:
    """What the names of a module stand for: what it imports by its full name, what it defines by nothing."""

    def __init__(self, module: ast.Module) -> None:
        self._known: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.stars: set[str] = set()
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                for n in node.names:
                    top = n.name.partition(".")[0]
                    self._known[n.asname or top] = n.name if n.asname else top
            elif isinstance(node, ast.ImportFrom):
                self._known |= {n.asname or n.name: f"{node.module or ''}.{n.name}" for n in node.names}
                self.stars |= {node.module or "" for n in node.names if n.name == "*"}
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                self._known[node.name] = ""
            elif (
                isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and type(node.value.value) is str
            ):
                self.constants |= {t.id: node.value.value for t in node.targets if isinstance(t, ast.Name)}

    def full(self, node: ast.expr) -> str:
        """Return the full name that the expression is, empty when it is none."""
        if isinstance(node, ast.Name):
            return self._known.get(node.id, node.id)
        if isinstance(node, ast.Attribute) and (home := self.full(node.value)):
            return f"{home}.{node.attr}"
        return ""


def signature_of(function: ast.AsyncFunctionDef, names: Names) -> Signature:
    """Return the parameters after the first, each with a type that is understood here, else with `Any`."""
    given = function.args
    places = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(places) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(places, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return Signature([_parameter(arg, default, names) for arg, default in pairs[1:]])


def _parameter(arg: ast.arg, default: ast.expr | None, names: Names) -> Parameter:
    kind = _type(arg.annotation, names) if arg.annotation else Parameter.empty
    value: Any = Parameter.empty
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = UNKNOWN
    return Parameter(arg.arg, Parameter.KEYWORD_ONLY, default=value, annotation=kind)


def _type(node: ast.expr, names: Names) -> Any:
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str() as text):
            try:
                return _type(ast.parse(text, mode="eval").body, names)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return Any
        case ast.BinOp(op=ast.BitOr()):
            return _union([_type(node.left, names), _type(node.right, names)])
        case ast.Subscript():
            return _subscripted(node, names)
    return _named(names.full(node))


def _named(name: str) -> Any:
    last = name.rpartition(".")[2]
    return list if last in _LISTS else dict if last in _DICTS else _PLAIN.get(name.removeprefix("builtins."), Any)


def _subscripted(node: ast.Subscript, names: Names) -> Any:
    name = names.full(node.value)
    last, inner = name.rpartition(".")[2], node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if last == "Literal":
        try:
            return operator.getitem(Literal, tuple(ast.literal_eval(one) for one in inner))
        except (ValueError, TypeError, SyntaxError):
            return Any
    if last == "Annotated":
        return _annotated(_type(inner[0], names), inner[1:])
    kinds = [... if isinstance(one, ast.Constant) and one.value is ... else _type(one, names) for one in inner]
    if last == "Optional":
        return _union([kinds[0], None])
    if last == "Union":
        return _union(kinds)
    home = _named(name)
    return home[tuple(kinds)] if _fits(home, kinds) else home


def _fits(home: Any, kinds: list[Any]) -> bool:
    """Return whether a container takes so many kinds."""
    dots = sum(isinstance(kind, EllipsisType) for kind in kinds)
    if home is tuple:
        return not dots or (len(kinds) == 2 and kinds[0] is not ...)
    return not dots and len(kinds) == {list: 1, set: 1, dict: 2}.get(home, 0)


def _annotated(kind: Any, notes: list[ast.expr]) -> Any:
    """Return the type with what `Field(description=…)` says, if that is there."""
    for note in notes:
        for word in note.keywords if isinstance(note, ast.Call) else ():
            if word.arg == "description" and isinstance(word.value, ast.Constant):
                return Annotated[kind, Field(description=str(word.value.value))]
    return kind


def _union(kinds: list[Any]) -> Any:
    return operator.getitem(Union, tuple(Any if kind is ... else kind for kind in kinds))
