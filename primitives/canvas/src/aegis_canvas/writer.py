"""How a canvas and its file stay the same: read before every change, replaced whole, recovered after a crash.

A change takes these steps: read the file, and record edits made outside → store `intent`, while the new file is written
and synced beside the old one → rename it into place → store `revised`, in one write with the mail about it. After a
crash between `intent` and `revised` the file decides: if it is the new one, the change was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import msgspec
import trio

from aegis import Caller, Kernel, LedgerError, Refused
from aegis.clock import stamp
from aegis.ledger import Draft
from aegis_canvas.document import Document, Part, parse, render
from aegis_canvas.notices import touches
from aegis_canvas.notifier import Notifier, address
from aegis_canvas.safe_file import FileChanged, Found, Replacement, SafeFile, Unreadable
from aegis_canvas.store import Canvas, Intent, Ref, Revision, Store
from aegis_canvas.texts import digest

HUMAN = "human"  # who is said to have made an edit outside aegis
_TRIES = 5
Check = Callable[[Document], None]
Compose = Callable[[Document], Document]


class Writer:
    """Reads and writes the files of canvases, and records what changed in them."""

    def __init__(self, kernel: Kernel, store: Store, notifier: Notifier, settings: Mapping[str, Any]) -> None:
        self._kernel, self._store, self._notifier, self._settings = kernel, store, notifier, settings
        self._locks: dict[str, trio.Lock] = {}
        self._swept: set[str] = set()
        self._stopped = False
        self._known: dict[str, tuple[str, Document]] = {}  # canvas → the hash of its file, and the parsed text

    def file(self, path: str) -> SafeFile:
        """Return the file at this path, which is opened safely."""
        outside = self._settings["plugins.canvas"].outside  # as it is now: people change it while aegis runs
        return SafeFile(self._kernel.project.root, path, outside=outside)

    def now(self) -> str:
        """Return the time as records have it."""
        return stamp(self._kernel.clock.now())

    async def stop(self) -> None:
        """Finish the changes that have begun, and refuse all others from now on."""
        self._stopped = True
        for lock in list(self._locks.values()):
            async with lock:
                pass

    # -- reading ------------------------------------------------------------------------------------------------

    def lock(self, canvas: Canvas) -> trio.Lock:
        """Return the lock of the canvas."""
        return self._locks.setdefault(canvas.id, trio.Lock())

    async def document(self, canvas: Canvas) -> Document:
        """Return the text of the canvas now; raises `Refused` when its file is missing or not a text."""
        async with self.lock(canvas):
            return (await self._current(canvas))[1]

    async def refresh(self, canvas: Canvas) -> None:
        """Record what was done to the file outside aegis; subscribers are told when something is wrong with it."""
        async with self.lock(canvas):
            await self._refresh(canvas)

    async def _current(self, canvas: Canvas) -> tuple[Found, Document]:
        found = await self._refresh(canvas)
        if found is None:
            raise Refused(
                f"{canvas.name} cannot be used: {canvas.file} {canvas.condition}. Its last text is version "
                f"{canvas.revision}; if the file is gone, `canvas undo {canvas.name}` writes it again"
            )
        return found

    async def _refresh(self, canvas: Canvas) -> tuple[Found, Document] | None:
        if self._stopped:
            raise Refused("aegis-canvas was stopped; nothing was changed")
        if canvas.id not in self._store.canvases:
            raise Refused(f"{canvas.name} was closed a moment ago")
        with trio.CancelScope(shield=True):
            now = await self._recorded(canvas)
        return now  # noqa: RET504 - mypy takes a scope for one that may swallow what is raised inside

    async def _recorded(self, canvas: Canvas) -> tuple[Found, Document] | None:
        """Return the file and its text, None when it cannot be read; what is new about it is on record then."""
        if canvas.id not in self._swept:  # a process that died may have left a file that was never renamed
            await trio.to_thread.run_sync(self.file(canvas.file).sweep, _temporary(canvas))
            self._swept.add(canvas.id)
        try:
            there = await trio.to_thread.run_sync(self.file(canvas.file).read)
            condition = self._too_many(await self._parsed(canvas, there))
            found = None if condition else there
        except FileNotFoundError:
            found, condition = None, "does not exist: it was deleted or moved outside aegis"
        except (Unreadable, Refused, OSError) as error:
            found, condition = None, f"cannot be read: {error}"
        if canvas.intent:
            await self._finish_intent(canvas, canvas.intent, found)
        if condition != canvas.condition and (condition or (found and found.hash == canvas.hash)):
            words = condition or "is back, with the text it had"
            told = self._notifier.all(canvas, f"{canvas.file} {words} · version {canvas.revision}")
            await self._notifier.append([self._store.draft("condition", canvas, condition=condition)], told)
        if found is None:
            return None
        document = await self._parsed(canvas, found)
        if found.hash != canvas.hash:
            old = self._former(canvas)
            revision = await self._revision(canvas, old, document, "edited", HUMAN)
            letters = self._notifier.revised(canvas, revision, old, document)
            await self._notifier.append(self._records(canvas, revision, old, document), letters)
        return found, document

    def _too_many(self, document: Document) -> str:
        """Return that the text has more sections than a canvas may, empty when it has not."""
        count, most = len(document.sections), self._settings["plugins.canvas"].max_sections
        return f"has {count:,} sections (plugins.canvas.max_sections is {most:,})" if count > most else ""

    async def _parsed(self, canvas: Canvas, found: Found) -> Document:
        known = self._known.get(canvas.id)
        if known is None or known[0] != found.hash:
            known = self._known[canvas.id] = found.hash, await trio.to_thread.run_sync(parse, found.text)
        return known[1]

    async def _finish_intent(self, canvas: Canvas, intent: Intent, found: Found | None) -> None:
        """Finish a change that a crash cut off: the file is the new one, or the change was never made."""
        revision = intent.revision
        if found and found.hash == revision.file:
            old, new = self._former(canvas), await self._parsed(canvas, found)
            letters = self._notifier.revised(canvas, revision, old, new)
            if revision.by_id and revision.by_id not in {who for who, _ in letters}:  # the writer got no answer
                done = f"version {revision.n}, by {revision.by}, was written although aegis stopped while writing it"
                letters += self._notifier.one(canvas, revision.by_id, done)
            await self._notifier.append([self._store.revised(canvas, revision)], letters)
            return
        names = ", ".join(f'"{touch.name}"' for touch in revision.touched)
        words = f"section {names} · not written by {revision.by}: aegis stopped before that; write again"
        letters = self._notifier.one(canvas, revision.by_id, words)
        await self._notifier.append([self._store.draft("dropped", canvas, n=revision.n)], letters)

    def former(self, canvas: Canvas, refs: tuple[Ref, ...]) -> Document:
        """Return an earlier document, put together from its sections."""
        parts = []
        for ref in refs:
            raw = self._store.texts.get(ref.text)
            parts.append(Part(ref.name, raw[: ref.head], raw[ref.head :]))
        return Document(tuple(parts))

    def _former(self, canvas: Canvas) -> Document:
        known = self._known.get(canvas.id)
        return known[1] if known and known[0] == canvas.hash else self.former(canvas, canvas.parts)

    # -- writing ------------------------------------------------------------------------------------------------

    async def open(self, canvas: Canvas, caller: Caller) -> None:
        """Record a new canvas; its file is created if it does not exist.

        Raises `Refused` when no canvas may be there, or the file is not a text.
        """
        file = self.file(canvas.file)
        with trio.CancelScope(shield=True):
            try:
                await trio.to_thread.run_sync(file.make)
                found = await trio.to_thread.run_sync(file.read)
            except (Unreadable, OSError) as error:
                words = error.strerror if isinstance(error, OSError) else str(error)
                raise Refused(f"{canvas.file} cannot be a canvas: {words}") from None
            nothing, document = parse(""), await trio.to_thread.run_sync(parse, found.text)
            if more := self._too_many(document):
                raise Refused(f"{canvas.file} cannot be a canvas: it {more}")
            revision = await self._revision(canvas, nothing, document, "opened", "")
            records = self._records(canvas, revision, nothing, document)
            await self._store.append(self._store.draft("opened", canvas, **msgspec.to_builtins(canvas)), *records)

    async def change(
        self, canvas: Canvas, caller: Caller, verb: str, check: Check, compose: Compose
    ) -> Revision | None:
        """Change the canvas and its file, and return the revision; None when the text is the same already.

        `check` raises to forbid the change. Raises `Refused` when the file cannot be read or written.
        """
        async with self.lock(canvas):
            for _ in range(_TRIES):
                found, old = await self._current(canvas)
                check(old)
                self._notifier.check(canvas, caller)
                new = await trio.to_thread.run_sync(compose, old)
                if more := self._too_many(new):
                    raise Refused(f"{canvas.name} {more}; write into a section that exists, or open another canvas")
                if render(new) == found.text:
                    return None
                try:
                    return await self._put(canvas, caller, verb, old, new, found)
                except FileChanged:
                    continue
        raise Refused(f"{canvas.file} keeps changing outside aegis; try again later")

    async def rewrite_missing(self, canvas: Canvas, caller: Caller) -> Revision | None:
        """Write the last text of a canvas whose file is gone and return the revision; None when the file exists."""
        async with self.lock(canvas):
            made = None
            if await self._refresh(canvas) is None:
                try:
                    made = await self._put(canvas, caller, "restored", parse(""), self._former(canvas), None)
                except FileChanged:
                    raise Refused(f"{canvas.file} {canvas.condition}; look at what is there now") from None
        return made

    async def _put(
        self, canvas: Canvas, caller: Caller, verb: str, old: Document, new: Document, found: Found | None
    ) -> Revision:
        with trio.CancelScope(shield=True):  # what has begun is finished, whether or not the caller waits for it
            revision = await self._revision(canvas, old, new, verb, str(caller), address(caller))
            intent = Intent(revision, found.hash if found else "")
            records = self._records(canvas, revision, old, new)[:-1]
            records.append(self._store.draft("intent", canvas, **msgspec.to_builtins(intent)))
            with ExitStack() as beside:
                try:
                    fresh = await self._prepared(canvas, beside, new, found, records)
                    await trio.to_thread.run_sync(fresh.put, intent.before or None)
                except (OSError, Unreadable, Refused, FileChanged) as error:
                    await self._store.append(self._store.draft("dropped", canvas, n=revision.n))
                    if isinstance(error, FileChanged):
                        raise
                    words = error.strerror if isinstance(error, OSError) else str(error)
                    raise Refused(f"{canvas.file} cannot be written: {words}; nothing was changed") from None
            self._known[canvas.id] = revision.file, new
            letters = self._notifier.revised(canvas, revision, old, new, caller)
            await self._notifier.append([self._store.revised(canvas, revision)], letters)
        return revision

    async def _prepared(
        self,
        canvas: Canvas,
        beside: ExitStack,
        new: Document,
        found: Found | None,
        records: list[Draft],
    ) -> Replacement:
        """Return the new file once it is on disk beside the old one, and the intent is stored."""
        made: list[Replacement] = []
        failed: list[Exception] = []
        replacement = self.file(canvas.file).replacement(render(new), _temporary(canvas), found.mode if found else None)

        async def prepare() -> None:
            try:
                made.append(await trio.to_thread.run_sync(partial(beside.enter_context, replacement)))
            except (OSError, Unreadable, Refused) as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:  # two syncs of the disk cost as much as the slower one
            nursery.start_soon(prepare)
            try:
                await self._store.append(*records)
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
        touched = await trio.to_thread.run_sync(touches, old, new, verb)  # seconds for large texts
        return Revision(
            canvas.revision + 1, by, self.now(), digest(render(new)), touched, fresh,
            () if same else order, by_id=by_id,
        )  # fmt: skip

    def _records(self, canvas: Canvas, revision: Revision, old: Document, new: Document) -> list[Draft]:
        """Return the records of a revision, itself last."""
        changed = {ref.name for ref in revision.new}
        fresh = {part.name: part.raw for part in new.parts if part.name in changed}
        former = {part.name: part.raw for part in old.parts}
        return [*self._store.texts.drafts(fresh, former), self._store.revised(canvas, revision)]


def _temporary(canvas: Canvas) -> str:
    return f".{canvas.id.lower()}.canvas-new"


def _refs(document: Document) -> tuple[Ref, ...]:
    return tuple(
        Ref(part.name, digest(part.raw), len(part.head), len(part.text.splitlines())) for part in document.parts
    )
