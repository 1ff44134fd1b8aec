"""The book `canvas`, and the canvases as it describes them.

Keyed by canvas: `opened` → (`intent` → `revised` or `dropped`)* with `condition`, `subscribed`, `unsubscribed`,
`claimed` and `released` between, → `closed`. Keyed by the hash of a piece of text: `text`, see `texts.Texts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aegis import Kernel, NotFound
from aegis.errors import listed, nearest
from aegis.ledger import Draft, Record
from aegis_canvas.texts import Texts

FULL = 50  # every so many revisions one has the whole list of pieces, the others what is new


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """A section of a text: its name, the key of its words (`Texts.get`), how many characters of those are the heading.

    `lines` counts the lines below the heading.
    """

    name: str
    text: str
    head: int
    lines: int


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """What a revision did to one section."""

    name: str
    verb: str
    added: int
    removed: int


class Revision(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step in a canvas's history: `by` is who made it, `new` the pieces it changed, `order` all their names after it.

    `parts` are all pieces, in every `FULL`th; `file` is the hash of the whole file.
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

    def after(self, parts: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """Return the pieces as this revision left them."""
        if self.parts:
            return self.parts
        now = {ref.name: ref for ref in (*parts, *self.new)}
        return tuple(now[name] for name in self.order or [ref.name for ref in parts])


class Intent(msgspec.Struct, frozen=True):
    """A revision that is on its way into the file, and the file's hash before it (empty: there was none)."""

    revision: Revision
    before: str


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
    parts: tuple[Ref, ...] = ()
    last: dict[str, tuple[int, str, str]] = {}  # section → its newest revision, who made it, when
    subscribers: dict[str, list[str] | None] = {}
    claims: dict[str, Claim] = {}
    condition: str = ""
    intent: Intent | None = None
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
        self.canvases = {c["id"]: msgspec.convert(c, Canvas) for c in snapshot}

    def _apply(self, record: Record) -> None:
        data = record.data
        if record.kind == "opened":
            self.canvases[record.key] = msgspec.convert(data, Canvas)
        if (canvas := self.canvases.get(record.key)) is None:
            return
        match record.kind:
            case "intent":
                canvas.intent = msgspec.convert(data, Intent)
            case "revised":
                _revise(canvas, msgspec.convert(data, Revision))
            case "dropped":
                canvas.intent = None
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
            revision = msgspec.structs.replace(revision, parts=revision.after(canvas.parts), order=())
        return self.draft("revised", canvas, **msgspec.to_builtins(revision))

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

    def history(self, canvas: Canvas, *, newest: bool = False) -> Iterator[Revision]:
        """Yield the canvas's revisions, the oldest first unless the newest are wanted first."""
        where = f"book=? and key=? and kind='revised' order by seq {'desc' if newest else 'asc'}"
        for record in self._kernel.ledger.select(where, self._book.name, canvas.id):
            yield msgspec.convert(record.data, Revision)

    def parts_at(self, canvas: Canvas, n: int) -> tuple[Ref, ...]:
        """Return the sections as revision `n` left them; raises `NotFound` when there was no such revision."""
        if not 0 < n <= canvas.revision:
            raise NotFound(f"{canvas.name} has the versions 1 to {canvas.revision}, not {n}")
        if n == canvas.revision:
            return canvas.parts
        steps: list[Revision] = []
        for revision in self.history(canvas, newest=True):
            if revision.n <= n:
                steps.append(revision)
            if steps and (revision.parts or revision.n == 1):
                break
        parts: tuple[Ref, ...] = ()
        for revision in reversed(steps):
            parts = revision.after(parts)
        return parts

    def text_at(self, canvas: Canvas, n: int, section: str) -> str | None:
        """Return a section's text, without its heading, as revision `n` left it; None when it did not exist."""
        for ref in self.parts_at(canvas, n):
            if ref.name == section:
                return self.texts.get(ref.text)[ref.head :]
        return None


def _revise(canvas: Canvas, revision: Revision) -> None:
    canvas.parts, canvas.revision, canvas.hash = revision.after(canvas.parts), revision.n, revision.file
    canvas.condition, canvas.intent, canvas.opened = "", None, True
    there = {ref.name for ref in canvas.parts}
    made = {touch.name: (revision.n, revision.by, revision.at) for touch in revision.touched}
    canvas.last = {name: last for name, last in {**canvas.last, **made}.items() if name in there}
