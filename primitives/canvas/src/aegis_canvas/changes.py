"""What a change makes of a canvas, put together in a thread: all of it that takes longer with longer texts."""

from __future__ import annotations

from typing import NamedTuple

from aegis.ledger import Draft
from aegis_canvas.document import Document, Part, changed_parts, render
from aegis_canvas.notices import touches
from aegis_canvas.store import Canvas, Ref, Touch
from aegis_canvas.texts import Texts, digest


class Change(NamedTuple):
    """The new document and what is recorded of it: `refs` of the parts that are new, `order` of all when it changed."""

    new: Document
    touched: tuple[Touch, ...]
    refs: tuple[Ref, ...]
    order: tuple[str, ...]
    texts: list[Draft]
    file: str
    data: bytes


def made(canvas: Canvas, old: Document, new: Document, verb: str, texts: Texts) -> Change:
    """Return what the new document is, beside the old one; it reads nothing."""
    changed = changed_parts(old, new)
    order = () if new.places is old.places else tuple(part.name for part in new.parts)
    fresh = sorted({*changed, *(at for at, name in enumerate(order) if name not in canvas.parts)})
    refs = [_ref(new.parts[at]) for at in fresh]
    raw = {new.parts[at].name: new.parts[at].raw for at in fresh}
    former = {name: part.raw for name in raw if (part := old.get(name))}
    data = render(new).encode()
    return Change(
        new, touches(old, new, changed, verb), tuple(ref for ref in refs if canvas.parts.get(ref.name) != ref),
        () if order == tuple(canvas.parts) else order, texts.drafts(raw, former), digest(data), data,
    )  # fmt: skip


def _ref(part: Part) -> Ref:
    return Ref(part.name, digest(part.raw), len(part.head), len(part.text.splitlines()))
