"""A changed value put into a YAML text: only the lines that say it differently change, the rest stays byte for byte."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from aegis_yamlfile.nodes import Node
from aegis_yamlfile.scalars import entry, inline, item, scalar

Cut = tuple[int, int, str]  # from, to, and what stands there instead


class Unwritable(Exception):
    """The change cannot be made without touching what it does not mean."""


def spliced(text: str, root: Node | None, old: dict[str, Any], new: dict[str, Any], *, aliases: bool) -> str:
    """Return the text that says `new`, where `root` is the tree of it and `old` what it says; raises `Unwritable`.

    What an alias stands for, or is merged in, changes with its anchor; with `aliases` it gets words of its own.
    """
    work = _Splice(text, root, aliases=aliases)
    if root is None or root.empty:
        work.begin(new)
    elif root.kind == "map" and root.block and not new:
        work.clear(root)
    elif root.kind == "map":
        work.change(root, old, new)
    elif new != old:
        raise Unwritable("the file is no mapping")
    numbered = [(start, end, n, words) for n, (start, end, words) in enumerate(work.cuts)]
    for start, end, _, words in sorted(numbered, reverse=True):  # at one place in the order in which they were made
        text = text[:start] + words + text[end:]
    return text


class _Splice:
    def __init__(self, text: str, root: Node | None, *, aliases: bool) -> None:
        self.text, self.cuts, self._aliases = text, list[Cut](), aliases
        self._eol = "\r\n" if "\r\n" in text else "\n"
        self._style = _style(root) if root else (2, 0)
        self._gap = _gap(root) if root else 2

    # -- lines of the text ------------------------------------------------------------------------------------------

    def _line(self, at: int) -> int:
        """Return where the line begins in which this place is."""
        begin = max(self.text.rfind("\n", 0, at), self.text.rfind("\r", 0, at)) + 1
        return begin + (begin == 0 and self.text.startswith("\ufeff"))

    def _next(self, at: int) -> int:
        """Return where the line after this place begins; a place at the beginning of a line is after the one before."""
        if at and at == self._line(at):
            return at
        while at < len(self.text) and self.text[at] not in "\r\n":
            at += 1
        return at + (2 if self.text.startswith("\r\n", at) else 1 if at < len(self.text) else 0)

    def _first(self, at: int) -> bool:
        """True when nothing but space stands before this place in its line."""
        return not self.text[self._line(at) : at].strip(" ")

    def _insert(self, at: int, lines: Sequence[str], column: int) -> None:
        """Put lines in where a line begins or the text ends."""
        words = self._eol.join(" " * column + line for line in lines)
        at_end = at == len(self.text) and at and self.text[at - 1] not in "\r\n"
        self.cuts.append((at, at, self._eol + words if at_end else words + self._eol))

    def begin(self, new: dict[str, Any]) -> None:
        """Say everything that is new at the end of a text that says nothing yet."""
        end = len(self.text)
        for at in _starts(self.text):
            if self.text.startswith("...", at):
                end = at
        if new:
            self._insert(end, [line for k, v in new.items() for line in entry(k, v, self._style)], 0)

    def clear(self, root: Node) -> None:
        """Say nothing any more."""
        self.cuts.append((self._line(root.start), self._next(root.end), ""))

    # -- values -----------------------------------------------------------------------------------------------------

    def change(self, node: Node, old: Any, new: Any) -> None:
        """Have the node, which says `old`, say `new`."""
        if _same(old, new) or (node.kind == "alias" and not self._aliases):
            return
        if node.kind == "map" and isinstance(new, dict) and (new or node.flow):
            self._mapping(node, old, new)
        elif node.kind == "seq" and isinstance(new, list) and (new or node.flow):
            self._sequence(node, old, new)
        elif node.block:
            raise Unwritable("a block in another block of one line")
        else:
            self.cuts.append((node.start, node.end, ("" if node.start != node.end else " ") + inline(new)))

    def _value(self, key: Node, node: Node, old: Any, new: Any, column: int) -> None:
        """Have the value of an entry in lines of its own say `new`."""
        fresh = node.empty or self.text[node.start : node.end] in ("[]", "{}")
        if fresh and isinstance(new, dict | list) and new:
            blank = node.start - len(self.text[: node.start].rstrip(" \t"))
            if not node.empty:
                self.cuts.append((node.start - blank, node.end, ""))
            _, *lines = entry("x", new, self._style)
            self._insert(self._next(node.end), lines, column)
        elif node.block and not (type(new) is type(old) and new):  # it becomes something else, on the key's line
            colon = self.text.index(":", key.end) + 1
            if self._line(node.start) == self._line(key.start):
                raise Unwritable("a block that begins behind its key")
            self.cuts.append((colon, colon, " " + inline(new)))
            self.cuts.append((self._line(node.start), self._next(node.end), ""))
        else:
            block = self.text[node.start : node.start + 1] in ("|", ">") and node.kind == "scalar"
            if block and not _same(old, new):
                end = node.end - len(self.text[: node.end]) + len(self.text[: node.end].rstrip("\r\n"))
                self.cuts.append((node.start, end, inline(new)))
            else:
                self.change(node, old, new)

    # -- mappings ---------------------------------------------------------------------------------------------------

    def _mapping(self, node: Node, old: dict[str, Any], new: dict[str, Any]) -> None:
        there = {str(key): (key_node, value) for key, key_node, value in node.entries if key is not None}
        gone = [key for key in there if key not in new]
        if merged := [key for key in old if key not in there and key not in new]:
            raise Unwritable(f"{merged[0]!r} comes from what is merged in")
        for key, (key_node, value) in there.items():
            if key in new and key in old:
                if node.flow:
                    self.change(value, old[key], new[key])
                else:
                    self._value(key_node, value, old[key], new[key], node.column)
        added = {k: v for k, v in new.items() if k not in there and (k not in old or self._overrides(old[k], v))}
        if node.flow:
            places = [(k.start, max(k.end, v.end)) for _, k, v in node.entries]
            out = [n for n, (key, _, _) in enumerate(node.entries) if key is not None and str(key) in gone]
            self._flow(node, places, out, [f"{scalar(key)}: {inline(v)}" for key, v in added.items()])
            return
        self._remove(node, gone)
        if added:
            at = self._next(max(node.entries[-1][1].end, node.end))
            self._insert(at, [line for key, v in added.items() for line in entry(key, v, self._style)], node.column)

    def _overrides(self, merged: Any, new: Any) -> bool:
        return self._aliases and not _same(merged, new)

    def _remove(self, node: Node, gone: Sequence[str]) -> None:
        for n, (key, key_node, value) in enumerate(node.entries):
            if key is None or str(key) not in gone:
                continue
            end = max(key_node.end, value.end)
            if self._first(key_node.start):
                self.cuts.append((self._line(key_node.start), self._next(end), ""))
            elif n + 1 < len(node.entries) and not self.text[end : node.entries[n + 1][1].start].strip():
                self.cuts.append((key_node.start, node.entries[n + 1][1].start, ""))  # behind a dash
            else:
                raise Unwritable(f"{key!r} stands in a line with something else")

    # -- lists ------------------------------------------------------------------------------------------------------

    def _sequence(self, node: Node, old: list[Any], new: list[Any]) -> None:
        matcher = SequenceMatcher(None, list(map(_text, old)), list(map(_text, new)), autojunk=False)
        out, more = list[int](), list[tuple[int, list[Any]]]()
        for what, a, b, c, d in matcher.get_opcodes():
            if what == "replace":
                for n in range(min(b - a, d - c)):
                    if self._alike(node.items[a + n][1], old[a + n], new[c + n]):
                        self.change(node.items[a + n][1], old[a + n], new[c + n])
                    else:
                        out.append(a + n)
                        more.append((a + n + 1, [new[c + n]]))
                out += range(a + min(b - a, d - c), b)
                if d - c > b - a:
                    more.append((b, new[c + b - a : d]))
            elif what == "delete":
                out += range(a, b)
            elif what == "insert":
                more.append((a, new[c:d]))
        if node.flow:
            self._flow_list(node, out, more)
            return
        for n in out:
            self._take_out(node, n)
        for at, values in more:
            self._put_in(node, at, values)

    @staticmethod
    def _alike(node: Node, old: Any, new: Any) -> bool:
        """True when the item's text can be changed where it stands."""
        if node.block:
            return type(old) is type(new) and bool(new)
        return not isinstance(new, dict | list) or node.flow

    def _take_out(self, node: Node, n: int) -> None:
        dash, child = node.items[n]
        if dash < 0 or not self._first(dash):
            raise Unwritable("an item stands in a line with something else")
        self.cuts.append((self._line(dash), self._next(max(dash + 1, child.end)), ""))

    def _put_in(self, node: Node, n: int, values: Sequence[Any]) -> None:
        """Put items in before the item of this number."""
        if n:
            dash, child = node.items[n - 1]
            at = self._next(max(dash + 1, child.end))
        else:
            at = self._line(node.items[0][0])
            if not self._first(node.items[0][0]):
                raise Unwritable("an item stands in a line with something else")
        self._insert(at, [line for one in values for line in item(one, self._style, self._gap)], node.column)

    # -- brackets ---------------------------------------------------------------------------------------------------

    def _flow_list(self, node: Node, out: list[int], more: list[tuple[int, list[Any]]]) -> None:
        places = [(child.start, child.end) for _, child in node.items]
        last = [one for at, values in more if at >= len(places) for one in values]
        for at, values in more:
            if at < len(places):
                self.cuts.append((places[at][0], places[at][0], "".join(inline(one) + ", " for one in values)))
        self._flow(node, places, out, list(map(inline, last)))

    def _flow(self, node: Node, places: list[tuple[int, int]], out: list[int], added: list[str]) -> None:
        """Take entries out of brackets, and put others in at their end."""
        left = [n for n in range(len(places)) if n not in out]
        if not left:
            start = places[0][0] if places else node.end - 1
            self.cuts.append((start, node.end - 1, ", ".join(added)))
            return
        last = left[-1]
        self.cuts += [(places[n][0], places[n + 1][0], "") for n in out if n < last]
        if last + 1 < len(places):
            self.cuts.append((places[last][1], places[-1][1], ""))
        if added:
            self.cuts.append((places[last][1], places[last][1], ", " + ", ".join(added)))


def _starts(text: str) -> list[int]:
    return [0, *(n + 1 for n, c in enumerate(text) if c == "\n")]


def _text(value: Any) -> str:
    return json.dumps(value, default=repr) + type(value).__name__


def _same(one: Any, other: Any) -> bool:
    """True when both say the same: 1, 1.0 and true are equal to Python."""
    return _text(one) == _text(other)


def _walk(node: Node) -> list[Node]:
    below = [*(value for _, _, value in node.entries), *(value for _, value in node.items)]
    return [node, *(one for value in below for one in _walk(value))]


def _style(root: Node) -> tuple[int, int]:
    """Return by how many columns the file moves keys in, and dashes."""
    steps, dashes = list[int](), list[int]()
    for node in _walk(root):
        for _, _, value in node.entries if node.block else ():
            if value.block:
                (steps if value.kind == "map" else dashes).append(value.column - node.column)
    step = next((n for n in steps if n > 0), 2)
    return step, next((n for n in dashes if n >= 0), 0 if step == 2 else step)


def _gap(root: Node) -> int:
    """Return how far behind its dash the file writes an item."""
    gaps = [v.column - node.column for node in _walk(root) if node.block for _, v in node.items if v.kind != "alias"]
    return next((gap for gap in gaps if gap > 1), 2)
