"""The book `canvas`, and the canvases as it describes them.

Keyed by canvas: `opened` → (`revised` → `told` or, when the file was written by somebody else in that moment,
`dropped`)* with `condition`, `subscribed`, `unsubscribed`, `claimed` and `released` between, → `closed`.
Keyed by the hash of a piece of text: `text`, see `texts.Texts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from aegis import Kernel, NotFound
from aegis.errors import listed, nearest
from aegis.ledger import Draft, Record
from aegis_canvas.document import Document, Part
from aegis_canvas.texts import Select, Texts

T = TypeVar("T")
FULL = 50  # every so many revisions one has the whole list of pieces, the others what is new


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """A section of a text: its name, the key of its words (`Texts.get`), how many characters of those are the heading.

    `lines` counts the lines below the heading.
    """

    name: str
    text: str
    head: int
    lines: int


Refs = dict[str, Ref]  # in their order


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """What a revision did to one section."""

    name: str
    verb: str
    added: int
    removed: int


class Revision(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step in a canvas's history: `by` is who made it, `new` the pieces it changed, `order` all their names after it.

    `parts` are all pieces, in every `FULL`th; `file` is the hash of the whole file, `before` of the one that it
    replaces. Who watches is told unless `tell` is false; `hops` and `trace` are those of the act.
    """

    n: int
    by: str
    at: str
    file: str
    touched: tuple[Touch, ...] = ()
    new: tuple[Ref, ...] = ()
    order: tuple[str, ...] = ()
    parts: tuple[Ref, ...] = ()
    by_id: str = ""
    why: str = ""
    before: str = ""
    tell: bool = False
    hops: int = 0
    trace: str = ""

    def after(self, parts: Refs) -> Refs:
        """Return the pieces as this revision left them; those it was given change when their order stays."""
        if self.parts:
            return {ref.name: ref for ref in self.parts}
        new = {ref.name: ref for ref in self.new}
        if not self.order:
            parts.update(new)
            return parts
        return {name: new.get(name) or parts[name] for name in self.order}


class Claim(msgspec.Struct, frozen=True):
    """A section that only its holder may write until that time."""

    section: str
    holder: str
    until: str


class Canvas(msgspec.Struct):
    """One canvas as it is known: `condition` says what is wrong with its file, empty when nothing is."""

    id: str
    name: str
    file: str
    created_at: str
    by: str
    revision: int = 0
    hash: str = ""
    parts: Refs = {}
    last: dict[str, tuple[int, str, str]] = {}  # section → its newest revision, who made it, when
    subscribers: dict[str, list[str] | None] = {}
    claims: dict[str, Claim] = {}
    condition: str = ""
    untold: list[Revision] = []  # those that subscribers have not been told of
    by_id: str = ""  # of the agent that opened it, or for which it was opened
    opened: bool = False  # whether its first revision is there

    @property
    def people(self) -> set[str]:
        """Everybody who watches it or has claimed a section of it."""
        return {*self.subscribers, *(claim.holder for claim in self.claims.values())}


class Store:
    """Every canvas that is not closed."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._book = kernel, kernel.ledger.book("canvas")
        self.texts = Texts(self._book)
        self.canvases: dict[str, Canvas] = {}

    def restore(self) -> None:
        """Rebuild what is known."""
        self._book.fold(self._begin, self._apply, lambda: list(self.canvases.values()))

    def _begin(self, snapshot: Any) -> None:
        for canvas in snapshot:
            if isinstance(parts := canvas["parts"], list):  # as it was kept before
                canvas["parts"] = {part[0]: part for part in parts}
        self.canvases = {c["id"]: msgspec.convert(c, Canvas) for c in snapshot}

    def _apply(self, record: Record) -> None:
        data = record.data
        if record.kind == "text":
            self.texts.note(record)
        elif record.kind == "opened":
            self.canvases[record.key] = msgspec.convert(data | {"parts": {}}, Canvas)
        if (canvas := self.canvases.get(record.key)) is None:
            return
        match record.kind:
            case "revised":
                _revise(canvas, msgspec.convert(data, Revision))
            case "dropped" if data["n"] == canvas.revision:
                _take_back(canvas, msgspec.convert(data["back"], Canvas))
            case "told":
                canvas.untold = [revision for revision in canvas.untold if revision.n > data["n"]]
            case "condition":
                canvas.condition = data["condition"]
            case "subscribed":
                canvas.subscribers[data["who"]] = data["sections"]
            case "unsubscribed":
                canvas.subscribers.pop(data["who"], None)
            case "claimed":
                canvas.claims[data["section"]] = msgspec.convert(data, Claim)
            case "released":
                canvas.claims.pop(data["section"], None)
            case "closed":
                del self.canvases[record.key]

    # -- records ------------------------------------------------------------------------------------------------

    def draft(self, kind: str, canvas: Canvas, **data: Any) -> Draft:
        """Return a record about a canvas, to be stored with others."""
        return self._book.draft(kind, canvas.id, canvas=canvas.name, **msgspec.to_builtins(data))

    def revised(self, canvas: Canvas, revision: Revision) -> Draft:
        """Return the record of a revision."""
        if revision.n % FULL == 0:
            parts = tuple(revision.after(dict(canvas.parts)).values())
            revision = msgspec.structs.replace(revision, parts=parts, order=())
        return self.draft("revised", canvas, **msgspec.to_builtins(revision))

    async def take_back(self, was: Canvas, n: int) -> None:
        """Have the revision `n`, which never came into the file, not be one: the canvas is what it was."""
        await self.append(self.draft("dropped", was, n=n, back=msgspec.structs.replace(was, untold=[])))

    async def append(self, *drafts: Draft) -> None:
        """Store them all or none."""
        await self._kernel.ledger.append(*drafts)

    # -- look-ups -----------------------------------------------------------------------------------------------

    def find(self, name: str) -> Canvas:
        """Return the canvas of this name; raises `NotFound` with those that are open."""
        if (canvas := self.get(name)) is not None:
            return canvas
        names = [canvas.name for canvas in self.canvases.values()]
        how = f"open it first: canvas open {name} FILE"
        raise NotFound(f"there is no canvas {name!r} (canvases: {listed(names)}); {how}.{nearest(name, names)}")

    def get(self, name: str) -> Canvas | None:
        """Return the canvas of this name, None when it does not exist."""
        return next((canvas for canvas in self.canvases.values() if canvas.name == name), None)

    def claim(self, canvas: Canvas, section: str, now: str) -> Claim | None:
        """Return the claim on a section that is in force at this time, None without one."""
        claim = canvas.claims.get(section)
        return claim if claim and claim.until > now else None

    def history(self, canvas: Canvas, *, newest: bool = False, select: Select | None = None) -> Iterator[Revision]:
        """Yield the canvas's revisions, the oldest first unless the newest are wanted first."""
        where = f"book=? and key=? and kind in ('revised', 'dropped') order by seq {'desc' if newest else 'asc'}"
        held: Revision | None = None
        dropped = 0
        for record in (select or self._kernel.ledger.select)(where, self._book.name, canvas.id):
            if record.kind == "dropped":
                held = None if held and held.n == record.data["n"] else held
                dropped = record.data["n"]
                continue
            revision = msgspec.convert(record.data, Revision)
            if not newest:
                if held:
                    yield held
                held = revision
            elif revision.n != dropped:
                yield revision
            dropped = 0
        if held:
            yield held

    async def aside(self, work: Callable[[Select], T]) -> T:
        """Return what `work(select)` makes of the book, in a thread: a long history does not keep the loop."""
        return await self._kernel.ledger.aside(work)

    def parts_at(self, canvas: Canvas, n: int, select: Select | None = None) -> tuple[Ref, ...]:
        """Return the sections as revision `n` left them; raises `NotFound` when there was no such revision."""
        if not 0 < n <= canvas.revision:
            raise NotFound(f"{canvas.name} has the versions 1 to {canvas.revision}, not {n}")
        if n == canvas.revision:
            return tuple(canvas.parts.values())
        steps: list[Revision] = []
        for revision in self.history(canvas, newest=True, select=select):
            if revision.n <= n:
                steps.append(revision)
            if steps and (revision.parts or revision.n == 1):
                break
        parts: Refs = {}
        for revision in reversed(steps):
            parts = revision.after(parts)
        return tuple(parts.values())

    def former(self, refs: Iterable[Ref], select: Select | None = None) -> Document:
        """Return an earlier document, put together from its sections."""
        parts = []
        for ref in refs:
            raw = self.texts.get(ref.text, select)
            parts.append(Part(ref.name, raw[: ref.head], raw[ref.head :]))
        return Document(tuple(parts))

    def text_at(self, canvas: Canvas, n: int, section: str) -> str | None:
        """Return a section's text, without its heading, as revision `n` left it; None when it did not exist."""
        for ref in self.parts_at(canvas, n):
            if ref.name == section:
                return self.texts.get(ref.text)[ref.head :]
        return None


def _revise(canvas: Canvas, revision: Revision) -> None:
    canvas.parts, canvas.revision, canvas.hash = revision.after(canvas.parts), revision.n, revision.file
    canvas.condition, canvas.opened = "", True
    canvas.last |= {touch.name: (revision.n, revision.by, revision.at) for touch in revision.touched}
    if revision.order or revision.parts or len(canvas.last) > len(canvas.parts):
        canvas.last = {name: last for name, last in canvas.last.items() if name in canvas.parts}
    if revision.tell:
        canvas.untold.append(revision)


def _take_back(canvas: Canvas, was: Canvas) -> None:
    canvas.parts, canvas.revision, canvas.hash, canvas.last = was.parts, was.revision, was.hash, was.last
    canvas.untold = [revision for revision in canvas.untold if revision.n <= was.revision]
