"""Where the headings of a Markdown text are: each begins a section, unless it only looks like one.

A parser of Markdown decides, but is given only what needs it. A `#` or `##` at the very beginning of a line is a
heading wherever no block is open that holds it, and most texts have no such block: no fence, no HTML, nothing that is
underlined. So a text is cut before each such line, and only the pieces in which something of that kind stands are
parsed, each with the line after it: when that is a heading then, what follows it is a text of its own.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

UNTITLED = "untitled"
MOST = 1_000  # lines that are parsed at once here, tens of milliseconds; what has more is `Long`
LARGEST = 200_000  # characters that are looked at here, which takes ten
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")  # as the parser counts them; `splitlines` knows more ends
_FIRM = re.compile(r"^(##?)(?=[ \t\r\n]|\Z)([^\n]*\n?)", re.MULTILINE)
_LOUD = re.compile(
    r"""^(?: [ ]{0,3}\#\#?(?:[ \t\r\n]|\Z)        # a heading
      | [ \t]*(?:=+|-+)[ \t]*\r?$                 # what makes one of the line before
      | [ \t]*(?:```|~~~|<)                       # a block that ends where it says
      | [ ]*\t | [ \t>*+.)0-9-]{16}               # perhaps deeper in lists than the parser goes
      ) | \0 | \r(?!\n)""",
    re.MULTILINE | re.VERBOSE,
)


class Head(NamedTuple):
    """A heading: where its lines begin and end, its level (1 or 2), and its words, which may be none."""

    start: int
    stop: int
    level: int
    words: str


@dataclass(slots=True)
class Counts:
    """How many characters were given to the parser in this process."""

    parsed: int = 0


class Long(Exception):
    """A text is too much to be parsed here: see `judged`."""

    def __init__(self, text: str) -> None:
        super().__init__("too long to be parsed at once")
        self.text = text


counts = Counts()
Judged = dict[str, list[Head]]  # texts that were parsed elsewhere, with their headings


@cache
def _blocks() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - its import takes time, and most starts need no canvas

    parser = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])  # only blocks matter here
    return parser


def clean(name: str) -> str:
    """Return a section's name in its one form, however it was spaced or composed."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def is_quiet(text: str) -> bool:
    """Return whether this has no heading of the first two levels, and leaves no block open that would hold one."""
    return len(text) <= LARGEST and not _LOUD.search(text)


def is_firm(head: str) -> bool:
    """Return whether this heading is one after everything that is quiet: one line, which begins with `#`."""
    return head.startswith("#") and not set("\r\n") & set(head.rstrip("\r\n"))


def judged(text: str) -> list[Head]:
    """Return the headings of the first two levels as the parser finds them; none in a list or a quotation is one."""
    counts.parsed += len(text)
    tokens = _blocks().parse(text)
    ends = [0, *accumulate(map(len, LINE.findall(text)))]
    return [
        Head(
            ends[token.map[0]], ends[token.map[1]], int(token.tag[1]),
            clean(tokens[at + 1].content if tokens[at + 1].type == "inline" else ""),
        )
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag in ("h1", "h2") and token.level == 0 and token.map
    ]  # fmt: skip


def checked(text: str, most: float = MOST) -> list[Head]:
    """Return the headings of a text that is short enough to be parsed here; raises `Long`."""
    if text.count("\n") + text.count("\r") > most:
        raise Long(text)
    return judged(text)


def all_headings(text: str) -> list[Head]:
    """Return the headings of a text, however long that takes."""
    return headings(text, most=float("inf"))


def headings(text: str, known: Judged | None = None, most: float = MOST) -> list[Head]:
    """Return the headings of the first two levels; raises `Long` when too much must be parsed and is not `known`."""
    if known and text in known:
        return known[text]
    if len(text) > LARGEST and most == MOST:
        raise Long(text)
    if "\0" in text or "\r" in text.replace("\r\n", ""):
        return checked(text, most)
    firm = {m.start(): m for m in _FIRM.finditer(text)}
    bounds = [*([] if 0 in firm else [0]), *firm, len(text)]
    found: list[Head] = []
    at = parsed = 0
    while at < len(bounds) - 1:
        here = firm.get(bounds[at])
        if not _LOUD.search(text, here.end() if here else 0, bounds[at + 1]):
            if here:
                found.append(_head(here))
            at += 1
            continue
        pieces = 1
        while True:
            after = firm.get(bounds[min(at + pieces, len(bounds) - 1)])
            part = text[bounds[at] : after.end() if after else len(text)]
            parsed += part.count("\n")
            if parsed > most:
                raise Long(text)
            there = [h._replace(start=h.start + bounds[at], stop=h.stop + bounds[at]) for h in judged(part)]
            if after is None or (there and there[-1].start == after.start()):
                break
            pieces *= 2  # a block is open there: what is parsed in vain is at most as much again
        found += there if after is None else there[:-1]
        at = len(bounds) - 1 if after is None else at + pieces
    return found


def _head(match: re.Match[str]) -> Head:
    words = match[2].rstrip(" \t\r\n")
    if (cut := words.rstrip("#")) != words and cut.endswith((" ", "\t")):
        words = cut
    return Head(match.start(), match.end(), len(match[1]), clean(words))
