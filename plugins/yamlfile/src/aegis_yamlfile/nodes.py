"""A YAML text as a tree of nodes that know where in the text they stand; made of the parser's events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

_COLON = re.compile(r"[ \t]*:")
_BLANK = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))+\Z")


@dataclass(slots=True)
class Node:
    """A value: `start` and `end` are where its text stands; the end of a block is the end of its last child's text."""

    kind: str  # "map", "seq", "scalar" or "alias"
    start: int
    end: int
    column: int
    flow: bool = False
    entries: list[tuple[Any, Node, Node]] = field(default_factory=list)  # of a mapping: key, its node, the value's
    items: list[tuple[int, Node]] = field(default_factory=list)  # of a list: where the dash is, the item's node

    @property
    def block(self) -> bool:
        """True for a mapping or a list that stands in lines of its own."""
        return self.kind in ("map", "seq") and not self.flow

    @property
    def empty(self) -> bool:
        """True for a null of which nothing is written."""
        return self.kind == "scalar" and self.start == self.end


def parse(text: str, events: Iterable[Any], document: Any) -> Node | None:
    """Return the tree of a text's events, which was loaded as `document`, before anything in that is changed."""
    events = iter(events)
    for event in events:
        if isinstance(event, AliasEvent | ScalarEvent | MappingStartEvent | SequenceStartEvent):
            return _node(event, events, text, document)
    return None


def _node(event: Any, events: Iterator[Any], text: str, value: Any) -> Node:
    start, end, column = event.start_mark.index, event.end_mark.index, event.start_mark.column
    if isinstance(event, AliasEvent):
        return Node("alias", start, end, column)
    if isinstance(event, ScalarEvent):
        if event.style in ("|", ">"):
            end = _block_end(text, start, end)
        return Node("scalar", start, end, column)
    if isinstance(event, MappingStartEvent):
        return _mapping(event, events, text, value)
    return _sequence(event, events, text, value)


def _block_end(text: str, start: int, end: int) -> int:
    """Return where the text of a `|` or `>` ends: its line end is a part of it, empty lines where they count."""
    head = text[start : text.find("\n", start)]
    said = text[start:end]
    if "+" not in head.split("#")[0] and (blank := _BLANK.search(said)):
        first = re.match(r"[ \t]*(?:\r\n|\r|\n)", said[blank.start() :])
        said = said[: blank.start() + (first.end() if first else 0)]
    return start + len(said.rstrip(" ")) if said.endswith(" ") else start + len(said)


def _mapping(event: Any, events: Iterator[Any], text: str, value: Any) -> Node:
    node = Node("map", event.start_mark.index, event.end_mark.index, event.start_mark.column, bool(event.flow_style))
    places = value.lc.data or {} if isinstance(value, CommentedMap) else {}
    keys = {(line, column): key for key, (line, column, *_) in places.items() if key != "<<"}
    while not isinstance(event := next(events), MappingEndEvent):
        key = keys.get((event.start_mark.line, event.start_mark.column))
        key_node = _node(event, events, text, None)
        child = _node(next(events), events, text, None if key is None else value[key])
        if child.empty and (colon := _COLON.match(text, key_node.end)):
            child.start = child.end = colon.end()
        node.entries.append((key, key_node, child))
    if node.flow:
        node.end = event.end_mark.index
    else:
        node.start, node.column = node.entries[0][1].start, node.entries[0][1].column
        node.end = max(node.entries[-1][1].end, node.entries[-1][2].end)
    return node


def _sequence(event: Any, events: Iterator[Any], text: str, value: Any) -> Node:
    node = Node("seq", event.start_mark.index, event.end_mark.index, event.start_mark.column, bool(event.flow_style))
    before = node.end
    while not isinstance(event := next(events), SequenceEndEvent):
        at = len(node.items)
        inner = value[at] if isinstance(value, CommentedSeq) and at < len(value) else None
        child = _node(event, events, text, inner)
        dash = child.start if node.flow else _dash(text, before, child.start, node)
        node.items.append((dash, child))
        before = child.end
    if node.flow:
        node.end = event.end_mark.index
    else:
        node.end = max(node.items[-1][0] + 1, node.items[-1][1].end)
    return node


def _dash(text: str, before: int, start: int, node: Node) -> int:
    """Return where the dash of an item is whose text begins at `start`, after another that ended at `before`."""
    if not node.items:
        node.start = text.rfind("-", before, start) if node.start > start else node.start
        node.column = node.start - (max(text.rfind("\n", 0, node.start), text.rfind("\r", 0, node.start)) + 1)
        return node.start
    at = before
    while (at := text.find("-", at, start)) >= 0:
        line = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
        if at - line == node.column and not text[line:at].strip():
            return at
        at += 1
    return -1  # nobody knows: it is not edited


__all__ = ["Node", "parse"]
