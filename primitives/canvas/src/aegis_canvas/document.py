"""A Markdown text as sections, and back: sections that are not written stay as they are, byte for byte.

A section is a heading of the second level (`## x`, or `x` underlined with `---`) and everything up to the next one, or
up to a heading of the first level, which is a section, too, once there is one of the second. One without words is
`untitled`. The text before the first section is `_preamble`; a text without headings of the second level is one
section, `body`. YAML between `---` at the beginning belongs to no section and is never changed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

from aegis import NotFound, Refused
from aegis.errors import nearest

FRONT, PREAMBLE, BODY, UNTITLED = "_front", "_preamble", "body", "untitled"
LONGEST_NAME = 200  # characters
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")  # as the parser counts them; `splitlines` knows more ends
_FRONT = re.compile(
    r"""\ufeff?(?: ---[ \t]* (?:\r\n|\r|\n)  (?=[ \t]*[\w"'-]+[ \t]*:)  .*?
        (?:\r\n|\r|\n) (?:---|\.\.\.)[ \t]* (?:\r\n|\r|\n|\Z) )?""",
    re.DOTALL | re.VERBOSE,
)
_EMPTY = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))*")


class Part(msgspec.Struct, frozen=True):
    """A section as the file has it: `head` is the lines of its heading."""

    name: str
    head: str
    body: str

    @property
    def raw(self) -> str:
        """The section, byte for byte."""
        return self.head + self.body

    @property
    def text(self) -> str:
        """The words: without the heading and the empty lines around them, with the usual line ends."""
        return plain(core(self.body)[1])


class Document(msgspec.Struct, frozen=True):
    """The whole text; the first part is what belongs to no section and may be empty."""

    parts: tuple[Part, ...]

    @property
    def sections(self) -> tuple[Part, ...]:
        """The sections, in order."""
        return self.parts[1:]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [part.name for part in self.sections]

    def get(self, name: str) -> Part | None:
        """Return the section of this name, None when it does not exist."""
        return next((part for part in self.sections if part.name == name), None)

    def find(self, name: str) -> Part:
        """Return the section of this name; raises `NotFound` with those there are."""
        if (found := self.get(name)) is None:
            there = ", ".join(self.names) or "none yet"
            raise NotFound(f"there is no section {name!r} (sections: {there}).{nearest(name, self.names)}")
        return found

    @property
    def end_of_line(self) -> str:
        """The kind of line end that the text uses first; a text without one gets the usual one."""
        found = re.search(r"\r\n|\r|\n", render(self))
        return found[0] if found else "\n"


@cache
def _blocks() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])  # only blocks matter here
    return parser


def plain(text: str) -> str:
    """Return the text with the usual line ends."""
    return re.sub(r"\r\n?", "\n", text)


def clean(name: str) -> str:
    """Return a section's name in its one form, however it was spaced or composed."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def core(body: str) -> tuple[str, str, str]:
    """Return a section's empty lines before its words, the words, and the blank space after."""
    empty = _EMPTY.match(body)
    before = empty[0] if empty else ""
    said = body[len(before) :].rstrip()
    return before, said, body[len(before) + len(said) :]


def render(document: Document) -> str:
    """Return the text that was parsed, byte for byte."""
    return "".join(part.raw for part in document.parts)


def parse(text: str) -> Document:
    """Return the text in its sections; `render` gives the same text back."""
    front = _FRONT.match(text)
    before = front[0] if front else ""
    lines = _LINE.findall(text[len(before) :])
    heads = _headings(text[len(before) :])
    parts = [Part(FRONT, before, "")]
    first = heads[0][0][0] if heads else len(lines)
    if opening := "".join(lines[:first]):
        if heads or opening.strip():
            parts.append(Part(PREAMBLE if heads else BODY, "", opening))
        else:
            parts[0] = Part(FRONT, before + opening, "")
    ends = [*(start for (start, _), _ in heads[1:]), len(lines)][: len(heads)]
    names = _unique(name for _, name in heads)
    for ((start, stop), _), end, name in zip(heads, ends, names, strict=True):
        parts.append(Part(name, "".join(lines[start:stop]), "".join(lines[stop:end])))
    return Document(tuple(parts))


def _headings(text: str) -> list[tuple[tuple[int, int], str]]:
    """Return the lines and the name of each heading that begins a section; none in a list or a quotation does."""
    tokens = _blocks().parse(text)
    found = [
        (token.tag, (token.map[0], token.map[1]), clean(_inline(tokens[at + 1])))
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag in ("h1", "h2") and token.level == 0 and token.map
    ]
    if not any(tag == "h2" and name for tag, _, name in found):
        return []
    first = next(n for n, (tag, _, _) in enumerate(found) if tag == "h2")  # titles come before it
    return [(lines, name or UNTITLED) for _, lines, name in found[first:]]


def _inline(token: Token) -> str:
    return token.content if token.type == "inline" else ""


def _unique(names: Iterable[str]) -> list[str]:
    """Return the names, the second `Notes` as `Notes (2)`."""
    seen = {FRONT, PREAMBLE}
    numbers: dict[str, int] = {}  # of the last one of that name: thousands may have the same
    found = []
    for name in names:
        candidate, n = name, numbers.get(name, 1)
        while candidate in seen:
            n += 1
            candidate = f"{name} ({n})"
        seen.add(candidate)
        numbers[name] = n
        found.append(candidate)
    return found


def written(document: Document, name: str, content: str) -> Document:
    """Return the document with this text in the section; a section that does not exist is added at the end.

    Raises `Refused` when that would change another section, or create one.
    """
    end = document.end_of_line
    text = _without_heading(name, plain(content)).strip("\n").rstrip()
    said = text.replace("\n", end)
    old = document.get(name)
    if old is None:
        return _checked(document, name, _added(document, name, said, end))
    before, _, after = core(old.body)
    head = old.head if not old.head or old.head.endswith(("\r", "\n")) else old.head + end
    at = document.parts.index(old)
    following = document.parts[at + 1].head if at + 1 < len(document.parts) else ""
    blank = len(re.findall(r"\r\n|\r|\n", after))
    least = 1 if not following or following.lstrip().startswith("#") else 2  # an underlined title needs an empty line
    body = before + said + after + end * max(0, least - blank) if said else (before or end if following else "")
    parts = (*document.parts[:at], Part(name, head, body), *document.parts[at + 1 :])
    return _checked(document, name, parts)


def appended(document: Document, name: str, text: str) -> Document:
    """Return the document with this text at the end of the section; raises as `written` does."""
    old = document.get(name)
    before = old.text if old else ""
    return written(document, name, f"{before}\n{plain(text)}" if before else text)


def _without_heading(name: str, content: str) -> str:
    """Return the content without the section's heading, which writers often repeat."""
    parts = parse(content.lstrip("\n")).parts
    again = len(parts) == 2 and parts[1].name == name and parts[1].head and not parts[0].head
    return parts[1].body if again else content


def _added(document: Document, name: str, said: str, end: str) -> tuple[Part, ...]:
    headed = any(part.head for part in document.sections)
    if name == PREAMBLE and not headed:
        raise Refused(f"without headings the whole text is the section {BODY!r}; write that, or a new section")
    if name == BODY and headed:
        raise Refused(f"{BODY!r} is for texts without headings; this one has: {', '.join(document.names)}")
    if name in (PREAMBLE, BODY):
        gap = end * 2 if headed else end
        return (*document.parts[:1], Part(name, "", said + gap if said else ""), *document.parts[1:])
    text = render(document).removeprefix("\ufeff")
    gap = "" if not text else (end * 2)[len(end) * min(2, _trailing(text)) :]
    head = f"{gap}## {name}{end}"
    return (*document.parts, Part(name, head, f"{end}{said}{end}" if said else ""))


def _trailing(text: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", text[len(text.rstrip()) :]))


def _checked(old: Document, name: str, parts: tuple[Part, ...]) -> Document:
    """Return the text of these parts, parsed; raises `Refused` when any other section is different."""
    new = parse("".join(part.raw for part in parts))
    expected = [part.name for part in parts[1:] if part.raw]
    if old.names == [BODY] and len(expected) == 2:
        expected[0] = PREAMBLE  # with its first heading, a text without headings becomes the preamble
    there, known = set(new.names), {*expected, name}
    gone = [found for found in expected if found not in there]
    if name in gone and not old.get(name) and name not in (PREAMBLE, BODY):
        raise Refused(
            f"{name!r} cannot be a heading here: use one line of plain words, and check that no code block or comment "
            "before it is left open"
        )
    if more := [found for found in new.names if found not in known]:
        raise Refused(
            f"the text for {name!r} has headings of the first or second level ({', '.join(map(repr, more))}), which "
            "would become sections of their own: write each as its own section, or use ### inside this one"
        )
    others = {part.name: part.raw.rstrip() for part in old.parts if part.name != name}
    same = all(others.get(part.name, part.raw.rstrip()) == part.raw.rstrip() for part in new.parts)
    if new.names != expected or not same:
        raise Refused(
            f"the text for {name!r} would swallow {', '.join(map(repr, gone)) or 'another section'}: "
            "is a code block or a comment left open in it?"
        )
    return new
