"""The text of notices to subscribers: what was done to which section, by whom, and what it says now."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from aegis_canvas.document import BODY, PREAMBLE, Document, Part
from aegis_canvas.line_diff import line_blocks
from aegis_canvas.store import Canvas, Revision, Touch

_SECTIONS = 50  # that a notice tells of
_PREVIEW = 6  # lines
_WIDEST = 400  # characters of a line in a preview


def changed_lines(old: str, new: str) -> tuple[int, int]:
    """Return how many lines were added and how many removed, by comparing all of them."""
    before, after = old.splitlines(), new.splitlines()
    added = removed = 0
    for equal, a, b, c, d in line_blocks(before, after):
        if not equal:
            added, removed = added + d - c, removed + b - a
    return added, removed


def diff(old: str, new: str, before: str, after: str) -> str:
    """Return the difference as a unified diff."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), before, after, lineterm="")
    return "\n".join(lines)


def touches(old: Document, new: Document, changed: Iterable[int], verb: str) -> tuple[Touch, ...]:
    """Return what was done to each section whose text is different; `changed` are the parts that are new."""
    found = []
    for at in changed:
        part = new.parts[at]
        was = old.get(part.name) or _renamed(old, new, part.name)
        if at and (was is None or was.text != part.text):
            found.append(Touch(part.name, verb, *changed_lines(was.text if was else "", part.text)))
    if new.places is old.places:
        return tuple(found)
    gone = [part for part in old.sections if part.name not in new.places and not _renamed(new, old, part.name)]
    return (*found, *(Touch(part.name, "removed", *changed_lines(part.text, "")) for part in gone))


def _renamed(there: Document, here: Document, name: str) -> Part | None:
    """Return the text without headings that has another name there: it is the body alone, and else the preamble."""
    other = {BODY: PREAMBLE, PREAMBLE: BODY}.get(name, "")
    return there.get(other) if other not in here.places and name not in there.places else None


def notice(revision: Revision, touched: Iterable[Touch], old: Document, new: Document) -> str:
    """Return the body of the mail about these sections."""
    all_ = list(touched)
    blocks = [_block(revision, t, old.get(t.name), new.get(t.name)) for t in all_[:_SECTIONS]]
    more = [f"… and {len(all_) - _SECTIONS:,} more sections"] if len(all_) > _SECTIONS else []
    return "\n\n".join([*blocks, *more])


def _block(revision: Revision, touch: Touch, was: Part | None, part: Part | None) -> str:
    minus = "" if touch.verb == "appended" else f" / -{touch.removed}"
    head = f'section "{touch.name}" · {touch.verb} by {revision.by} (+{touch.added}{minus} lines)'
    text = part.text if part else ""
    if touch.verb == "appended" and was:
        text = text.removeprefix(was.text).removeprefix("\n")
    return "\n".join([f"{head} · version {revision.n}", "──", *preview(text)])


def preview(text: str) -> Sequence[str]:
    """Return the first lines of a text."""
    lines = text.splitlines()
    more = [f"… ({len(lines) - _PREVIEW} more lines)"] if len(lines) > _PREVIEW else []
    shown = [line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…" for line in lines[:_PREVIEW]]
    return [*shown, *more] or ["(empty)"]


def concerns(canvas: Canvas, who: str, touched: Iterable[Touch]) -> list[Touch]:
    """Return those of the changed sections that this subscriber watches."""
    wanted = canvas.subscribers.get(who)
    return [touch for touch in touched if wanted is None or touch.name in wanted]
