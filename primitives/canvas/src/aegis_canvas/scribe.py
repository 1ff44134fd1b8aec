"""How a canvas and its file stay one: looked at before everything, replaced whole, and recovered after a crash.

A change goes: look at the file, and take in what was done to it outside → `intent`, while the new file is written and
synced beside the old one → put in its place → `revised`, in one write with the mail that tells of it. What stands
between an intent and its revision after a crash is decided by the file: it is the new one, or it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import msgspec
import trio

from aegis import Caller, Kernel, LedgerError, Refused
from aegis.clock import stamp
from aegis.ledger import Draft
from aegis_canvas.document import Document, Part, parse, render
from aegis_canvas.mailing import Mailing, address
from aegis_canvas.notices import touches
from aegis_canvas.place import Found, Moved, Place, Replacement, Unreadable
from aegis_canvas.shelf import Canvas, Intent, Ref, Revision, Shelf
from aegis_canvas.texts import digest

HUMAN = "human"  # who makes what is made outside
_TRIES = 5
Check = Callable[[Document], None]
Compose = Callable[[Document], Document]


class Scribe:
    """The one who writes."""

    def __init__(self, kernel: Kernel, shelf: Shelf, mailing: Mailing, *, outside: bool) -> None:
        self._kernel, self._shelf, self._mailing, self._outside = kernel, shelf, mailing, outside
        self._locks: dict[str, trio.Lock] = {}
        self._swept: set[str] = set()
        self._known: dict[str, tuple[str, Document]] = {}  # canvas → its file's hash and what that says

    def place(self, file: str) -> Place:
        """Return where a canvas of this file would lie."""
        return Place(self._kernel.project.root, file, outside=self._outside)

    def now(self) -> str:
        """Return the time as it is written down."""
        return stamp(self._kernel.clock.now())

    # -- looking ------------------------------------------------------------------------------------------------

    def alone(self, canvas: Canvas) -> trio.Lock:
        """Return what to enter to have the canvas to oneself."""
        return self._locks.setdefault(canvas.id, trio.Lock())

    async def document(self, canvas: Canvas) -> Document:
        """Return what the canvas says now; raises `Refused` when its file is not there or no text."""
        async with self.alone(canvas):
            return (await self._current(canvas))[1]

    async def look(self, canvas: Canvas) -> None:
        """Take in what was done to the file outside; what is wrong with it is told to those who watch."""
        async with self.alone(canvas):
            await self._look(canvas)

    async def _current(self, canvas: Canvas) -> tuple[Found, Document]:
        seen = await self._look(canvas)
        if seen is None:
            raise Refused(
                f"{canvas.name} cannot be used: {canvas.file} {canvas.condition}. Its last text is version "
                f"{canvas.revision}: `canvas undo {canvas.name}` writes it anew if the file is gone"
            )
        return seen

    async def _look(self, canvas: Canvas) -> tuple[Found, Document] | None:
        if canvas.id not in self._shelf.canvases:
            raise Refused(f"{canvas.name} was closed a moment ago")
        with trio.CancelScope(shield=True):
            if canvas.id not in self._swept:  # a process that died may have left a file that never took its place
                await trio.to_thread.run_sync(self.place(canvas.file).sweep, _temporary(canvas))
                self._swept.add(canvas.id)
            try:
                found: Found | None = await trio.to_thread.run_sync(self.place(canvas.file).read)
                condition = ""
            except FileNotFoundError:
                found, condition = None, "is not there: it was deleted or moved outside aegis"
            except (Unreadable, Refused, OSError) as error:
                found, condition = None, f"cannot be read: {error}"
            if canvas.intent:
                await self._settle(canvas, canvas.intent, found)
            if condition != canvas.condition and (condition or (found and found.hash == canvas.hash)):
                words = condition or "is back, and as it was"
                told = self._mailing.all(canvas, f"{canvas.file} {words} · version {canvas.revision}")
                await self._mailing.store([self._shelf.draft("condition", canvas, condition=condition)], told)
            if found is None:
                return None
            document = await self._parsed(canvas, found)
            if found.hash != canvas.hash:
                old = self._former(canvas)
                revision = await self._revision(canvas, old, document, "edited", HUMAN)
                letters = self._mailing.revised(canvas, revision, old, document)
                await self._mailing.store(self._records(canvas, revision, old, document), letters)
            return found, document

    async def _parsed(self, canvas: Canvas, found: Found) -> Document:
        known = self._known.get(canvas.id)
        if known is None or known[0] != found.hash:
            known = self._known[canvas.id] = found.hash, await trio.to_thread.run_sync(parse, found.text)
        return known[1]

    async def _settle(self, canvas: Canvas, intent: Intent, found: Found | None) -> None:
        """Bring to its end what a crash cut off: the file is the new one, or the change was never made."""
        revision = intent.revision
        if found and found.hash == revision.file:
            old, new = self._former(canvas), await self._parsed(canvas, found)
            letters = self._mailing.revised(canvas, revision, old, new)
            if revision.by_id and revision.by_id not in {who for who, _ in letters}:  # it never got its answer
                done = f"version {revision.n}, by {revision.by}, was written although aegis stopped in the middle of it"
                letters += self._mailing.one(canvas, revision.by_id, done)
            await self._mailing.store([self._shelf.revised(canvas, revision)], letters)
            return
        names = ", ".join(f'"{touch.name}"' for touch in revision.touched)
        words = f"section {names} · not written by {revision.by}: aegis stopped before; write again"
        letters = self._mailing.one(canvas, revision.by_id, words)
        await self._mailing.store([self._shelf.draft("dropped", canvas, n=revision.n)], letters)

    def former(self, canvas: Canvas, refs: tuple[Ref, ...]) -> Document:
        """Return a document of the past, from its pieces."""
        parts = []
        for ref in refs:
            raw = self._shelf.texts.get(ref.text)
            parts.append(Part(ref.name, raw[: ref.head], raw[ref.head :]))
        return Document(tuple(parts))

    def _former(self, canvas: Canvas) -> Document:
        known = self._known.get(canvas.id)
        return known[1] if known and known[0] == canvas.hash else self.former(canvas, canvas.parts)

    # -- writing ------------------------------------------------------------------------------------------------

    async def open(self, canvas: Canvas, caller: Caller) -> None:
        """Make the canvas known, with its file, which is made if it is not there.

        Raises `Refused` when no canvas may lie there or what lies there is no text.
        """
        place = self.place(canvas.file)
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(place.make)
                found = await trio.to_thread.run_sync(place.read)
            except (Unreadable, OSError) as error:
                words = error.strerror if isinstance(error, OSError) else str(error)
                raise Refused(f"{canvas.file} cannot be a canvas: {words}") from None
            nothing, document = parse(""), await trio.to_thread.run_sync(parse, found.text)
            revision = await self._revision(canvas, nothing, document, "opened", "")
            records = self._records(canvas, revision, nothing, document)
            await self._shelf.store(self._shelf.draft("opened", canvas, **msgspec.to_builtins(canvas)), *records)

    async def change(
        self, canvas: Canvas, caller: Caller, verb: str, check: Check, compose: Compose
    ) -> Revision | None:
        """Change the canvas and its file, and return the revision; None when it says so already.

        `check` raises what speaks against it. Raises `Refused` when the file cannot be worked with.
        """
        async with self.alone(canvas):
            for _ in range(_TRIES):
                found, old = await self._current(canvas)
                check(old)
                self._mailing.check(canvas, caller)
                new = await trio.to_thread.run_sync(compose, old)
                if render(new) == found.text:
                    return None
                try:
                    return await self._put(canvas, caller, verb, old, new, found)
                except Moved:
                    continue
        raise Refused(f"{canvas.file} is being changed outside aegis all the time; try again later")

    async def write_anew(self, canvas: Canvas, caller: Caller) -> Revision | None:
        """Write the last text of a canvas whose file is gone; None when it is there."""
        async with self.alone(canvas):
            made = None
            if await self._look(canvas) is None:
                try:
                    made = await self._put(canvas, caller, "restored", parse(""), self._former(canvas), None)
                except Moved:
                    raise Refused(f"{canvas.file} {canvas.condition}; see what lies there now") from None
        return made

    async def _put(
        self, canvas: Canvas, caller: Caller, verb: str, old: Document, new: Document, found: Found | None
    ) -> Revision:
        with trio.CancelScope(shield=True):  # begun is done: what the caller would not learn, others would
            revision = await self._revision(canvas, old, new, verb, str(caller), address(caller))
            intent = Intent(revision, found.hash if found else "")
            records = self._records(canvas, revision, old, new)[:-1]
            records.append(self._shelf.draft("intent", canvas, **msgspec.to_builtins(intent)))
            with ExitStack() as beside:
                try:
                    fresh = await self._prepared(canvas, beside, new, found, records)
                    await trio.to_thread.run_sync(fresh.put, intent.before or None)
                except (OSError, Unreadable, Refused, Moved) as error:
                    await self._shelf.store(self._shelf.draft("dropped", canvas, n=revision.n))
                    if isinstance(error, Moved):
                        raise
                    words = error.strerror if isinstance(error, OSError) else str(error)
                    raise Refused(f"{canvas.file} cannot be written: {words}; nothing was changed") from None
            self._known[canvas.id] = revision.file, new
            letters = self._mailing.revised(canvas, revision, old, new, caller)
            await self._mailing.store([self._shelf.revised(canvas, revision)], letters)
            return revision

    async def _prepared(
        self,
        canvas: Canvas,
        beside: ExitStack,
        new: Document,
        found: Found | None,
        records: list[Draft],
    ) -> Replacement:
        """Return the new file, on disk beside the old one, and the intent on disk, too."""
        made: list[Replacement] = []
        failed: list[Exception] = []
        replacement = self.place(canvas.file).replacement(
            render(new), _temporary(canvas), found.mode if found else None
        )

        async def prepare() -> None:
            try:
                made.append(await trio.to_thread.run_sync(partial(beside.enter_context, replacement)))
            except (OSError, Unreadable, Refused) as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:  # two syncs of the disk cost as much as the slower one
            nursery.start_soon(prepare)
            try:
                await self._shelf.store(*records)
            except LedgerError as error:
                failed.insert(0, error)
        if failed:
            raise failed[0]
        return made[0]

    # -- records ------------------------------------------------------------------------------------------------

    async def _revision(
        self, canvas: Canvas, old: Document, new: Document, verb: str, by: str, by_id: str = ""
    ) -> Revision:
        refs = _refs(new)
        before = {ref.name: ref for ref in canvas.parts}
        fresh = tuple(ref for ref in refs if before.get(ref.name) != ref)
        order = tuple(ref.name for ref in refs)
        same = order == tuple(ref.name for ref in canvas.parts)
        touched = await trio.to_thread.run_sync(touches, old, new, verb)  # large texts take seconds
        return Revision(
            canvas.revision + 1, by, self.now(), digest(render(new)), touched, fresh,
            () if same else order, by_id=by_id,
        )  # fmt: skip

    def _records(self, canvas: Canvas, revision: Revision, old: Document, new: Document) -> list[Draft]:
        """Return the records of a revision, itself last."""
        changed = {ref.name for ref in revision.new}
        fresh = {part.name: part.raw for part in new.parts if part.name in changed}
        former = {part.name: part.raw for part in old.parts}
        return [*self._shelf.texts.drafts(fresh, former), self._shelf.revised(canvas, revision)]


def _temporary(canvas: Canvas) -> str:
    return f".{canvas.id.lower()}.canvas-new"


def _refs(document: Document) -> tuple[Ref, ...]:
    return tuple(
        Ref(part.name, digest(part.raw), len(part.head), len(part.text.splitlines())) for part in document.parts
    )
