"""Verbs as MCP tools: what an agent sees listed, and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from fastmcp.tools import Tool
from fastmcp.tools.base import ToolResult
from fastmcp.utilities.json_schema import dereference_refs
from mcp_types import TextContent, ToolAnnotations

from aegis import AegisError, Caller, NotFound
from aegis.errors import listed, nearest
from aegis.verb_definition import Verb, plain
from aegis.verbs import Verbs


def tool_of(verb: Verb) -> Tool:
    """Return the verb as a tool; its schema carries no references, which not every CLI follows."""
    marks = verb.marks
    hints = ToolAnnotations(
        read_only_hint=marks.read_only,
        destructive_hint=marks.destructive and not marks.read_only,
        open_world_hint=False,
    )
    schema = {"type": "object", "properties": {}} | dereference_refs(verb.schema)
    properties = schema["properties"].items()  # without what only people's surfaces read
    schema["properties"] = {n: {k: v for k, v in p.items() if not k.startswith("x-")} for n, p in properties}
    told = "\n\n".join(filter(None, (verb.doc, verb.advice)))
    return Tool(name=marks.tool, description=told, parameters=schema, annotations=hints)


class Tools:
    """The tools of each caller, made again when verbs come or go."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self.generation = 0
        self._of: dict[tuple[str, tuple[str, ...] | None], list[Tool]] = {}
        self._names: dict[str, str] = {}  # of tools that are gone, too: their verbs can say why
        self._named = -1

    def changed(self) -> None:
        """Forget what was made: the verbs are others now."""
        self.generation += 1
        self._of.clear()

    def of(self, caller: Caller) -> list[Tool]:
        """Return the tools this caller may use."""
        key = caller.class_, caller.verbs
        if key not in self._of:
            self._of[key] = [tool_of(v) for v in self._verbs.visible(caller)]
        return self._of[key]

    def verb_of(self, caller: Caller, tool: str) -> str:
        """Return the name of the verb that this tool is, or was before its plugin went; raises `NotFound`."""
        if self._named != self.generation:
            self._named = self.generation
            self._names.update({v.marks.tool: v.name for v in self._verbs})
        name = self._names.get(tool)
        if name is None:
            known = [t.name for t in self.of(caller)]
            raise NotFound(f"there is no tool {tool!r} (there are: {listed(known)}).{nearest(tool, known)}")
        return name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: a text for readers, and the same for programs as far as JSON has it."""

    text: str
    structured: dict[str, Any] | None = None
    is_error: bool = False

    @classmethod
    def of(cls, value: Any, text: str = "") -> Outcome:
        """Return what the value is to the one who called."""
        data = plain(value)
        return cls(text or text_of(value, data), data if isinstance(data, dict) else {"result": data})

    @classmethod
    def of_error(cls, error: AegisError) -> Outcome:
        """Return what an error is to the one who called."""
        return cls(str(error), plain(error.data) if error.data else None, is_error=True)

    def result(self) -> ToolResult:
        """Return it as FastMCP has it."""
        return ToolResult([TextContent(text=self.text)], self.structured, is_error=self.is_error)


def text_of(value: Any, data: Any = None) -> str:
    """Return the value in its own words if it has any, else as JSON."""
    if value is None:
        return "done"
    own: object = type(value).__str__
    if isinstance(value, str) or (own is not object.__str__ and type(value).__module__ != "builtins"):
        return str(value)
    return msgspec.json.encode(plain(value) if data is None else data).decode()
