"""What a verb is: one typed async method, which is the tool, the shell command, the REPL command and its help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from aegis.callers import CLASSES, Caller, Class
from aegis.errors import AegisError, Refused, nearest
from aegis_signatures.arguments import Arguments
from aegis_signatures.plain import plain as plain

_NAME = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)?\Z")
_AGENTS_PART = re.compile(r"^For agents:[ \n]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Completes:
    """Marks a parameter (`Annotated[str, Completes("handle")]`) whose values come from the completer of this name."""

    what: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What `@verb` says of a method."""

    name: str
    tool: str
    read_only: bool
    destructive: bool
    for_: frozenset[Class]
    positional: tuple[str, ...]
    checks: bool = False

    def allow(self, caller: Caller) -> bool:
        """Return whether the verb is for this caller; one for programs alone is a part of the verb that calls it.

        A program that acts for an agent may use what agents may use, and what `checks` whose act it is.
        """
        inside = caller.via and self.for_ == {"program"}
        as_whom = {caller.class_, "agent" if caller.agent_id and not self.checks else caller.class_}
        return caller.class_ in self.for_ and bool(inside or (as_whom <= self.for_ and caller.may(self.name)))


def verb(
    name: str,
    *,
    tool: str = "",
    read_only: bool = False,
    destructive: bool = False,
    for_: Collection[Class] = CLASSES,
    positional: tuple[str, ...] | None = None,
    checks: bool = False,
) -> Callable[[Any], Any]:
    """Offer an async method `(self, caller, …)` as a verb named by the words a person types.

    `for_` says which classes of callers it is for. The first docstring line is the help; a part that begins with
    `For agents:` is shown to them only. Annotations and defaults are the schema; `positional` are the parameters that
    the shell takes without a flag (those without a default, unless said); `tool` overrides the MCP name. What is not
    for agents is not for a program that acts for one, unless the verb itself `checks` whose act a call is.
    """

    def mark(method: Any) -> Any:
        if not _NAME.match(name) or not inspect.iscoroutinefunction(method) or not inspect.getdoc(method):
            raise AegisError(f"verb {name!r} must be one or two lower-case words, on an async method with a docstring")
        parameters = list(inspect.signature(method).parameters.values())[2:]
        bare = tuple(p.name for p in parameters if p.default is p.empty)
        mcp = tool or "aegis_" + re.sub(r"[ -]", "_", name)
        shown = bare if positional is None else positional
        method.aegis_verb = Marks(name, mcp, read_only, destructive, frozenset(for_), shown, checks)
        return method

    return mark


class Verb:
    """A verb of a running plugin."""

    def __init__(self, plugin: str, method: Callable[..., Any]) -> None:
        self.plugin, self.run = plugin, method
        self.marks: Marks = method.aegis_verb  # type: ignore[attr-defined]
        self.name = self.marks.name
        people, *agents = _AGENTS_PART.split(inspect.getdoc(method) or "", maxsplit=1)
        self.doc, self.advice = people.strip(), "".join(agents).strip()
        self.help = self.doc.splitlines()[0]

        self.arguments = Arguments(self.name, method, 1, nearest)

    @property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments."""
        return self.arguments.schema

    def validate(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as their types; raises `Refused` with a sentence on each wrong one."""
        try:
            return self.arguments.checked(args)
        except ValueError as error:
            raise Refused(str(error)) from None

    def describe(self) -> dict[str, Any]:
        """Return everything a surface needs to offer the verb, as JSON."""
        found = {name: mark.what for name, mark in self.arguments.marked(Completes).items()}
        more = {"help": self.help, "doc": self.doc, "advice": self.advice, "schema": self.schema}
        marks = {n: v for n, v in msgspec.to_builtins(self.marks).items() if n != "checks"}
        classes = sorted(marks.pop("for_"))
        return {**marks, "for": classes, "plugin": str(self.plugin), **more, "completes": found}
