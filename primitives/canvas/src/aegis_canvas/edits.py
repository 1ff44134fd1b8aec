"""What writing into a document makes of it; what would change another section is refused."""

from __future__ import annotations

from aegis import Refused
from aegis_canvas.document import BODY, PREAMBLE, Document, Part, core, parse, plain, render
from aegis_canvas.headings import Judged, is_quiet


def written(document: Document, name: str, content: str, known: Judged | None = None) -> Document:
    """Return the document with this text in the section; a section that does not exist is added at the end.

    Raises `Refused` when that would change another section, or create one, and `Long` as `parse` does.
    """
    end = document.end_of_line
    text = _without_heading(name, plain(content), known).strip("\n").rstrip()
    said = text.replace("\n", end)
    old = document.get(name)
    if old is None:
        return _with(document, name, said, end, known)
    before, _, after = core(old.body)
    head = old.head if not old.head or old.head.endswith(("\r", "\n")) else old.head + end
    at = document.places[name]
    following = document.parts[at + 1].head if at + 1 < len(document.parts) else ""
    least = 1 if not following or following.lstrip().startswith("#") else 2  # an underlined title needs an empty line
    body = before + said + after + end * max(0, least - _ends(after)) if said else (before or end if following else "")
    part = Part(name, head, body)
    if (new := document.fitted(at, part)) is not None:
        return new
    return _checked(document, name, (*document.parts[:at], part, *document.parts[at + 1 :]), known)


def appended(document: Document, name: str, text: str, known: Judged | None = None) -> Document:
    """Return the document with this text at the end of the section; raises as `written` does."""
    old = document.get(name)
    before = old.text if old else ""
    return written(document, name, f"{before}\n{plain(text)}" if before else text, known)


def _without_heading(name: str, content: str, known: Judged | None) -> str:
    """Return the content without the section's heading, which writers often repeat."""
    if is_quiet(content):
        return content
    parts = parse(content.lstrip("\n"), known).parts
    again = len(parts) == 2 and parts[1].name == name and parts[1].head and not parts[0].head
    return parts[1].body if again else content


def _with(document: Document, name: str, said: str, end: str, known: Judged | None) -> Document:
    """Return the document with a new section of this name."""
    last = document.parts[-1]
    headed = bool(last.head) and len(document.parts) > 1
    if name == PREAMBLE and not headed:
        raise Refused(f"without headings the whole text is the section {BODY!r}; write that, or a new section")
    if name == BODY and headed:
        raise Refused(f"{BODY!r} is for texts without headings; this one has: {', '.join(document.names)}")
    if name in (PREAMBLE, BODY):
        first = Part(name, "", said + end * (2 if headed else 1) if said else "")
        return _checked(document, name, (*document.parts[:1], first, *document.parts[1:]), known)
    gap = (end * 2)[len(end) * min(2, _ends(last.raw)) :] if headed or render(document).removeprefix("\ufeff") else ""
    new = Part(name, f"## {name}{end}", f"{end}{said}{end}" if said else "")
    if headed and (longer := document.longer(gap, new)) is not None:
        return longer
    return _checked(document, name, (*document.parts, Part(name, gap + new.head, new.body)), known)


def _ends(text: str) -> int:
    """Return how many line ends the blank space at its end has."""
    blank = text[len(text.rstrip()) :]
    return blank.count("\n") + blank.count("\r") - blank.count("\r\n")


def _checked(old: Document, name: str, parts: tuple[Part, ...], known: Judged | None) -> Document:
    """Return the text of these parts, parsed; raises `Refused` when any other section is different."""
    new = parse("".join(part.raw for part in parts), known)
    expected = [part.name for part in parts[1:] if part.raw]
    if old.names == [BODY] and len(expected) == 2:
        expected[0] = PREAMBLE  # with its first heading, a text without headings becomes the preamble
    there, allowed = set(new.names), {*expected, name}
    gone = [found for found in expected if found not in there]
    if name in gone and not old.get(name) and name not in (PREAMBLE, BODY):
        raise Refused(
            f"{name!r} cannot be a heading here: use one line of plain words, and check that no code block or comment "
            "before it is left open"
        )
    if more := [found for found in new.names if found not in allowed]:
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
