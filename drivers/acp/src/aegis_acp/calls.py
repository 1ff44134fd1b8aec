"""One use of a tool, put together from what an agent says of it: announced early, late or never."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis.events import ToolCall, ToolKind, ToolResult
from aegis_acp import v1
from aegis_jsonrpc.values import mapping, text

_WORD = re.compile(r"[A-Za-z][\w.-]*\Z")
# Gemini's ids begin with the tool's name: write_file-1763694302001-1, or read_file__call_83912751 where the model's own
# id is behind it. The models' own ids do not.
_NUMBERED = re.compile(r"(?!(?:call|toolu|tool|fc|msg)_)([A-Za-z]\w*?)(?:__.+|[-_]\d{5,}.*)\Z")
_SERVED = re.compile(r"(\w+) \((\w+) MCP Server\)")  # Qwen's title of a server's tool
_NO_INPUT = frozenset({"cwd"})  # what OpenCode says of a tool whose input is still being written
_NAMES = ("toolName", "tool_name", "tool")  # where agents put the tool's own name beside the protocol's fields
_SAID = ("output", "error", "message", "stdout")  # where they put what it answered

Given = Callable[[v1.ToolCallUpdate, Path], Any]  # what a call is given, where an agent in that folder says it in words


def nothing(said: v1.ToolCallUpdate, folder: Path) -> None:
    """Read nothing in the words: agents have a field for it."""


@dataclass(slots=True)
class Call:
    """What is known of the call so far; `refused` is why it may not run."""

    id: str
    name: str = ""
    title: str = ""
    kind: ToolKind = "other"
    input: Any = None
    locations: tuple[str, ...] = ()
    diff: tuple[str, str, str] | None = None
    status: str = ""
    refused: str = ""
    announced: bool = False
    over: bool = False
    _words: str = ""
    _output: Any = None

    def learn(self, said: v1.ToolCallUpdate, *, asking: bool = False) -> None:
        """Take in what is said of it now; what is not said stays as it was, and so does the input while `asking`."""
        self.name = self.name or self._named(said)
        self.title = said.title or self.title
        self.kind = said.kind or self.kind
        self.status = said.status or self.status
        if said.raw_input is not None and not (asking and self.input):
            self.input = said.raw_input
        if said.raw_output is not None:
            self._output = said.raw_output
        if said.locations:
            self.locations = tuple(f"{p.path}:{p.line}" if p.line else p.path for p in said.locations)
        if said.content is not None:
            if not asking:  # where it asks, these are the words of the question, and not what the tool answered
                self._words = explanation(said)
            edits = [part for part in said.content if isinstance(part, v1.FileEditToolCallContent)]
            if edits and not self._shows(*(diff := (edits[0].path, edits[0].old_text or "", edits[0].new_text))):
                self.diff = diff

    def _shows(self, path: str, old: str, new: str) -> bool:
        """Return whether the edit is known with more around it: OpenCode shows the whole file when it asks."""
        return self.diff is not None and self.diff[0] == path and old in self.diff[1] and new in self.diff[2]

    def _named(self, said: v1.ToolCallUpdate) -> str:
        """Return the tool's name, for which the protocol has no field."""
        beside = mapping(said.field_meta)
        for extra in (beside, *(value for value in beside.values() if isinstance(value, dict))):
            if found := next(filter(None, (text(extra.get(name)) for name in _NAMES)), ""):
                return found
        if numbered := _NUMBERED.match(said.tool_call_id):
            return numbered[1]
        if served := _SERVED.match(said.title or ""):
            return f"mcp__{served[2]}__{served[1]}"
        if not said.title or not _WORD.match(said.title) or _of_what(said, said.title):
            return ""
        return said.title

    @property
    def ready(self) -> bool:
        """True once it is worth being shown: its input is known, or it runs already."""
        given = self.input if not isinstance(self.input, dict) else self.input.keys() - _NO_INPUT
        return bool(given or self._words or self.diff) or self.status not in ("", "pending")

    @property
    def ended(self) -> bool:
        """True when the agent said how it ended."""
        return self.status in ("completed", "failed")

    @property
    def paths(self) -> tuple[str, ...]:
        """The files it names."""
        named = [re.sub(r":\d+\Z", "", place) for place in self.locations]
        given = mapping(self.input)
        named += [text(given.get(key)) for key in ("file_path", "filePath", "path", "filepath", "absolute_path")]
        named += [self.diff[0]] if self.diff else []
        return tuple(dict.fromkeys(filter(None, named)))

    @property
    def shown(self) -> Any:
        """What a person is shown of what it is given; Gemini CLI says of an edit only what becomes of the file."""
        if self.input is None and self.diff:
            return dict(zip(("path", "old_text", "new_text"), self.diff, strict=True))
        return self.input

    def announcement(self) -> ToolCall:
        """Return the event that says that it begins."""
        self.announced = True
        name = self.name or self.kind
        return ToolCall(self.id, name, "" if self.title == name else self.title, self.kind, self.input, self.locations)

    def result(self) -> ToolResult:
        """Return the event that says how it ended."""
        self.over = True
        said = self._words or _answer(self._output)
        if self.refused:
            return ToolResult(self.id, f"{self.refused}\n{said}" if said else self.refused, is_error=True)
        return ToolResult(self.id, said, self.status == "failed", None if self.status == "failed" else self.diff)


def _of_what(said: v1.ToolCallUpdate, title: str) -> bool:
    """Return whether the title says what the tool is used on, a command perhaps or a file, and so is not its name."""
    places = [place.path for place in said.locations or ()]
    given = [value for value in mapping(said.raw_input).values() if type(value) is str]
    return title in given or any(place == title or place.endswith(f"/{title}") for place in (*places, *given))


def explanation(said: v1.ToolCallUpdate) -> str:
    """Return the text in its content."""
    return "\n".join(words(part.content) for part in said.content or () if isinstance(part, v1.ContentToolCallContent))


def words(content: Any) -> str:
    """Return what a block of content says, or what it is."""
    return (
        content.text
        if isinstance(content, v1.TextContentBlock)
        else f"[{text(getattr(content, 'type', '')) or 'unknown'}]"
    )


def _answer(output: Any) -> str:
    if type(output) is str or output is None:
        return output or ""
    said = [text(mapping(output).get(name)) for name in _SAID]
    return "\n".join(filter(None, said)) or json.dumps(output, ensure_ascii=False, default=str)
