"""A Markdown text as sections, and back: sections that are not written stay as they are, byte for byte.

A section is a heading of the second level (`## x`, or `x` underlined with `---`) and everything up to the next one, or
up to a heading of the first level, which is a section, too, once there is one of the second. One without words is
`untitled`. The text before the first section is `_preamble`; a text without headings of the second level is one
section, `body`. YAML between `---` at the beginning belongs to no section and is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

import msgspec

from aegis import NotFound
from aegis.errors import nearest
from aegis_canvas.headings import UNTITLED, Judged, Long, checked, headings, is_firm, is_quiet

FRONT, PREAMBLE, BODY = "_front", "_preamble", "body"
_FRONT = re.compile(
    r"""\ufeff?(?: ---[ \t]* (?:\r\n|\r|\n)  (?=[ \t]*[\w"'-]+[ \t]*:)  .*?
        (?:\r\n|\r|\n) (?:---|\.\.\.)[ \t]* (?:\r\n|\r|\n|\Z) )?""",
    re.DOTALL | re.VERBOSE,
)
_EMPTY = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))*")
_END = re.compile(r"\r\n|\r|\n")


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


class Document(msgspec.Struct, frozen=True, dict=True):
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

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in `parts` the section of each name is."""
        return {part.name: at for at, part in enumerate(self.parts) if at}

    def get(self, name: str) -> Part | None:
        """Return the section of this name, None when it does not exist."""
        at = self.places.get(name)
        return None if at is None else self.parts[at]

    def find(self, name: str) -> Part:
        """Return the section of this name; raises `NotFound` with those there are."""
        if (found := self.get(name)) is None:
            there = ", ".join(self.names) or "none yet"
            raise NotFound(f"there is no section {name!r} (sections: {there}).{nearest(name, self.names)}")
        return found

    @property
    def end_of_line(self) -> str:
        """The kind of line end that the text uses first; a text without one gets the usual one."""
        found = filter(None, (_END.search(raw) for part in self.parts for raw in (part.head, part.body)))
        return next((match[0] for match in found), "\n")

    def fitted(self, at: int, part: Part) -> Document | None:
        """Return the document with this part in the place of the one of its name; None when a whole parse must say.

        It is what the whole text would be, parsed anew: what begins with a heading is parsed the same whatever was
        before it, so only the part and the heading after it are looked at.
        """
        after = self.parts[at + 1].head if at + 1 < len(self.parts) else ""
        if not (part.head or after) or not self._stands(at, part, after):
            return None
        new = Document((*self.parts[:at], part, *self.parts[at + 1 :]))
        new.__dict__["places"] = self.places
        return new

    def longer(self, gap: str, part: Part) -> Document | None:
        """Return the document with this part behind the last one and this gap; None when a whole parse must say."""
        at, last = len(self.parts) - 1, self.parts[-1]
        last = Part(last.name, last.head, last.body + gap) if gap else last
        found = headings(part.head)
        named = len(found) == 1 and found[0].words == part.name not in (*self.places, FRONT, PREAMBLE)
        if not (at and last.head and named and self._stands(at, last, part.head) and self._stands(at + 1, part, "")):
            return None
        new = Document((*self.parts[:-1], last, part))
        new.__dict__["places"] = {**self.places, part.name: at + 1}
        return new

    def _stands(self, at: int, part: Part, after: str) -> bool:
        """Return whether this part and the heading after it are what they are meant to be, and nothing else is."""
        lines = [part.head] * bool(part.body) + [part.raw] * bool(after)
        if not part.raw or not all(line.endswith(("\r", "\n")) for line in lines if line):
            return False
        if self._front_open(at, part) or _joined(part.head, part.body) or _joined(self.parts[at - 1].raw, part.raw):
            return False
        if _is_underlined(part.head) and not _blank_at_end(self.parts[at - 1].raw):
            return False  # the lines before it may be the beginning of something that goes on in it
        if (is_firm(after) or not after) and is_quiet(part.body):
            return True
        if _is_underlined(after) and not _blank_at_end(part.raw):
            return False
        try:
            found = checked(part.raw + after)
        except Long:
            return False
        if not part.head:  # titles before the first section are no sections
            found = found[next((n for n, head in enumerate(found) if head.level > 1), 0) :]
        size = len(part.raw)
        due = [(0, len(part.head))] * bool(part.head) + [(size, size + len(after))] * bool(after)
        return [(head.start, head.stop) for head in found] == due

    def _front_open(self, at: int, part: Part) -> bool:
        """Return whether the text would begin with a mark, or like YAML that has no end: a later text may end it."""
        front = self.parts[0].raw
        if "---" in front:
            return False
        opening = front + (part if at == 1 else self.parts[1]).raw
        marked = opening.startswith("\ufeff") and not front
        return marked or opening.removeprefix("\ufeff").startswith("---")


def _is_underlined(head: str) -> bool:
    return len(_END.split(head.rstrip("\r\n"))) > 1


def _joined(before: str, after: str) -> bool:
    """Return whether the line ends of both become one."""
    return before.endswith("\r") and after.startswith("\n")


def _blank_at_end(raw: str) -> bool:
    return re.search(r"(?:\A|[\r\n])[ \t]*(?:\r\n|\r|\n)\Z", raw) is not None


def plain(text: str) -> str:
    """Return the text with the usual line ends."""
    return re.sub(r"\r\n?", "\n", text) if "\r" in text else text


def core(body: str) -> tuple[str, str, str]:
    """Return a section's empty lines before its words, the words, and the blank space after."""
    empty = _EMPTY.match(body)
    before = empty[0] if empty else ""
    said = body[len(before) :].rstrip()
    return before, said, body[len(before) + len(said) :]


def render(document: Document) -> str:
    """Return the text that was parsed, byte for byte."""
    return "".join([piece for part in document.parts for piece in (part.head, part.body)])


def parse(text: str, known: Judged | None = None) -> Document:
    """Return the text in its sections; `render` gives the same text back. Raises `Long` as `headings` does."""
    front = _FRONT.match(text)
    before = front[0] if front else ""
    text = text[len(before) :]
    found = headings(text, known)
    first = next((n for n, head in enumerate(found) if head.level == 2), 0)  # titles come before it
    heads = found[first:] if any(head.level == 2 and head.words for head in found) else []
    parts = [Part(FRONT, before, "")]
    if opening := text[: heads[0].start] if heads else text:
        if heads or opening.strip():
            parts.append(Part(PREAMBLE if heads else BODY, "", opening))
        else:
            parts[0] = Part(FRONT, before + opening, "")
    ends = [*(head.start for head in heads[1:]), len(text)]
    names = _unique(head.words or UNTITLED for head in heads)
    for head, end, name in zip(heads, ends, names, strict=False):
        parts.append(Part(name, text[head.start : head.stop], text[head.stop : end]))
    return Document(tuple(parts))


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


def changed_parts(old: Document, new: Document) -> list[int]:
    """Return which parts of the new document the old one does not have, by name and text."""
    if len(old.parts) == len(new.parts):
        was: Iterable[Part | None] = old.parts
    else:
        there = {part.name: part for part in old.parts}
        was = (there.get(part.name) for part in new.parts)
    pairs = zip(was, new.parts, strict=True)
    return [at for at, (one, part) in enumerate(pairs) if one is not part and one != part]
