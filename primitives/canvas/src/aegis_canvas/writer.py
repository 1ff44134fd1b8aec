"""How a canvas and its file stay the same: written through the ledger, replaced whole, finished after a crash.

A change takes these steps, under the canvas's lock: the new file is written and synced beside the old one, if that is
still the one that is known → `revised` is stored → the new file is renamed into place. After a crash between the last
two the new file is still there beside the old one, and is put in its place; see `SafeFile.finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
import trio

from aegis import Caller, Kernel, Refused
from aegis.clock import stamp
from aegis.ledger import Draft
from aegis_canvas.changes import Change, made
from aegis_canvas.document import Document, parse
from aegis_canvas.headings import Head, Judged, Long
from aegis_canvas.notifier import Notifier, address, is_agents
from aegis_canvas.safe_file import FileChanged, Found, Replacement, SafeFile, Unreadable
from aegis_canvas.store import Canvas, Revision, Store
from aegis_canvas.teller import Teller
from aegis_patterns.apart import Unjudged, apart

HUMAN = "human"  # who is said to have made an edit outside aegis
_TRIES = 5
_SECONDS = 2.0  # of computing, for the headings of a text that is too long to be parsed here
_SETTLING = 0.1  # seconds in which the names of several changes are synced at once
Check = Callable[[Document], None]
Compose = Callable[[Document, Judged], Document]


class Writer:
    """Reads and writes the files of canvases, and records what changed in them."""

    def __init__(
        self, kernel: Kernel, store: Store, notifier: Notifier, teller: Teller, settings: Mapping[str, Any]
    ) -> None:
        self._kernel, self._store, self._notifier, self._teller = kernel, store, notifier, teller
        self._settings = settings
        self._locks: dict[str, trio.Lock] = {}
        self._seen: set[str] = set()  # canvases whose files were looked at since aegis started
        self._doubted: set[str] = set()  # canvases whose files may have been changed since
        self._stopped = False
        self._known: dict[str, tuple[str, Document]] = {}  # canvas → the hash of its file, and the parsed text
        self._stamps: dict[str, tuple[int, int, int]] = {}  # canvas → the file as it was put in place
        self._unsettled: dict[str, SafeFile] = {}
        self._put_one = trio.Event()

    def file(self, path: str) -> SafeFile:
        """Return the file at this path, which is opened safely."""
        outside = self._settings["plugins.canvas"].outside  # as it is now: people change it while aegis runs
        return SafeFile(self._kernel.project.root, path, outside=outside)

    def now(self) -> str:
        """Return the time as records have it."""
        return stamp(self._kernel.clock.now())

    def is_own(self, canvas_id: str, seen: tuple[int, int, int]) -> bool:
        """Return whether this is the file as it was put in place here."""
        return self._stamps.get(canvas_id) == seen

    async def stop(self) -> None:
        """Finish the changes that have begun, and refuse all others from now on."""
        self._stopped = True
        for lock in list(self._locks.values()):
            async with lock:
                pass
        await self._settle()

    async def run(self) -> None:
        """Have the names of new files on disk soon: what was answered is in the ledger already."""
        while True:
            await self._put_one.wait()
            await trio.sleep(_SETTLING)
            await self._settle()

    async def _settle(self) -> None:
        self._put_one = trio.Event()
        files, self._unsettled = self._unsettled, {}
        for file in files.values():
            try:
                await trio.to_thread.run_sync(file.settle)
            except (OSError, Unreadable, Refused):
                pass  # its folder is gone, and with it what there was to settle

    # -- reading ------------------------------------------------------------------------------------------------

    def lock(self, canvas: Canvas) -> trio.Lock:
        """Return the lock of the canvas."""
        return self._locks.setdefault(canvas.id, trio.Lock())

    async def document(self, canvas: Canvas) -> Document:
        """Return the text of the canvas now; raises `Refused` when its file is missing or not a text."""
        async with self.lock(canvas):
            return await self._current(canvas)

    async def refresh(self, canvas: Canvas) -> None:
        """Record what was done to the file outside aegis; subscribers are told when something is wrong with it."""
        async with self.lock(canvas):
            await self._refresh(canvas)

    async def _current(self, canvas: Canvas) -> Document:
        found = await self._refresh(canvas)
        if found is None:
            raise Refused(
                f"{canvas.name} cannot be used: {canvas.file} {canvas.condition}. Its last text is version "
                f"{canvas.revision}; if the file is gone, `canvas undo {canvas.name}` writes it again"
            )
        return found

    def _usable(self, canvas: Canvas) -> None:
        if self._stopped:
            raise Refused("aegis-canvas was stopped; nothing was changed")
        if canvas.id not in self._store.canvases:
            raise Refused(f"{canvas.name} was closed a moment ago")

    async def _refresh(self, canvas: Canvas) -> Document | None:
        self._usable(canvas)
        return await self._recorded(canvas)

    async def _recorded(self, canvas: Canvas) -> Document | None:
        """Return the text of the file, None when it cannot be read; what is new about it is on record then."""
        first = canvas.id not in self._seen
        if first:  # a process that died may have left a file that was never renamed
            await self._finish(canvas)
        self._doubted.discard(canvas.id)
        found, document = None, None
        try:
            found = await trio.to_thread.run_sync(self.file(canvas.file).read)
            document = await self._parsed(canvas, found)
            condition = self._too_many(document)
        except FileNotFoundError:
            condition = "does not exist: it was deleted or moved outside aegis"
        except (Unreadable, Refused, OSError) as error:
            condition = f"cannot be read: {error}"
        if condition != canvas.condition and (condition or (found and found.hash == canvas.hash)):
            words = condition or "is back, with the text it had"
            told = self._notifier.all(canvas, f"{canvas.file} {words} · version {canvas.revision}")
            await self._notifier.append([self._store.draft("condition", canvas, condition=condition)], told)
        if first:
            self._seen.add(canvas.id)
            self._teller.placed(canvas, answered=False)
        if condition or found is None or document is None:
            return None
        if found.hash != canvas.hash:
            old = self._former(canvas)
            change = await trio.to_thread.run_sync(made, canvas, old, document, "edited", self._store.texts)
            await self._store.append(*change.texts, self._revised(canvas, change, HUMAN)[0])
            self._teller.placed(canvas, (old, document))
        return document

    async def _finish(self, canvas: Canvas) -> None:
        last = await self._store.aside(
            lambda select: next(self._store.history(canvas, newest=True, select=select), None)
        )
        before = last.before if last else ""
        await trio.to_thread.run_sync(self.file(canvas.file).finish, _temporary(canvas), before, canvas.hash)

    async def tell(self, canvas: Canvas) -> None:
        """Tell of what is in the file already, now."""
        await self._teller.tell(canvas)

    def _too_many(self, document: Document) -> str:
        """Return that the text has more sections than a canvas may, empty when it has not."""
        count, most = len(document.parts) - 1, self._settings["plugins.canvas"].max_sections
        return f"has {count:,} sections (plugins.canvas.max_sections is {most:,})" if count > most else ""

    async def _parsed(self, canvas: Canvas, found: Found) -> Document:
        known = self._known.get(canvas.id)
        if known is None or known[0] != found.hash:
            document = await self._judging(lambda judged: parse(found.text, judged))
            known = self._known[canvas.id] = found.hash, document
        return known[1]

    async def _judging(self, work: Callable[[Judged], Any]) -> Any:
        """Return what the work gives in a thread; what is too long for that is parsed in a process of its own."""
        judged: Judged = {}
        while True:
            try:
                return await trio.to_thread.run_sync(work, judged)
            except Long as long:
                try:
                    found = await apart("aegis_canvas.headings:all_headings", long.text, _SECONDS)
                except Unjudged as error:
                    raise Refused(f"its headings cannot be found: {error}") from None
                judged[long.text] = [Head(*head) for head in found]

    def _former(self, canvas: Canvas) -> Document:
        known = self._known.get(canvas.id)
        return known[1] if known and known[0] == canvas.hash else self._store.former(tuple(canvas.parts.values()))

    # -- writing ------------------------------------------------------------------------------------------------

    async def open(self, canvas: Canvas, caller: Caller) -> None:
        """Record a new canvas; its file is created if it does not exist.

        Raises `Refused` when no canvas may be there, or the file is not a text.
        """
        file = self.file(canvas.file)
        try:
            await trio.to_thread.run_sync(file.make)
            found = await trio.to_thread.run_sync(file.read)
        except (Unreadable, OSError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise Refused(f"{canvas.file} cannot be a canvas: {words}") from None
        document = await self._parsed(canvas, found)
        if more := self._too_many(document):
            raise Refused(f"{canvas.file} cannot be a canvas: it {more}")
        change = await trio.to_thread.run_sync(made, canvas, parse(""), document, "opened", self._store.texts)
        opened = self._store.draft("opened", canvas, **msgspec.to_builtins(canvas))
        self._seen.add(canvas.id)
        await self._store.append(opened, *change.texts, self._revised(canvas, change, "")[0])

    async def change(
        self, canvas: Canvas, caller: Caller, verb: str, check: Check, compose: Compose
    ) -> Revision | None:
        """Change the canvas and its file, and return the revision; None when the text is the same already.

        `check` raises to forbid the change. Raises `Refused` when the file cannot be read or written.
        """
        async with self.lock(canvas):
            for _ in range(_TRIES + 1):
                self._usable(canvas)
                known = self._believed(canvas)
                old = known or await self._current(canvas)
                try:
                    check(old)
                    self._notifier.check(canvas, caller)
                    revision = await self._changed(canvas, caller, verb, old, lambda judged: compose(old, judged))  # noqa: B023
                except FileChanged:
                    self._doubted.add(canvas.id)
                    continue
                except Exception:  # whatever speaks against it may have gone from the file
                    if not known:
                        raise
                    self._doubted.add(canvas.id)
                    continue
                if revision or not known:
                    return revision
                self._doubted.add(canvas.id)
        raise Refused(f"{canvas.file} keeps changing outside aegis; try again later")

    def _believed(self, canvas: Canvas) -> Document | None:
        """Return the text as it was when the file was last looked at, None when it must be looked at first."""
        known = self._known.get(canvas.id)
        sure = canvas.id in self._seen and canvas.id not in self._doubted and not canvas.condition
        return known[1] if known and sure and known[0] == canvas.hash else None

    async def rewrite_missing(self, canvas: Canvas, caller: Caller) -> Revision | None:
        """Write the last text of a canvas whose file is gone and return the revision; None when the file exists."""
        async with self.lock(canvas):
            if await self._refresh(canvas) is not None:
                return None
            last = self._former(canvas)
            try:
                return await self._changed(canvas, caller, "restored", parse(""), lambda _: last, before="")
            except FileChanged:
                raise Refused(f"{canvas.file} {canvas.condition}; look at what is there now") from None

    async def _changed(
        self, canvas: Canvas, caller: Caller, verb: str, old: Document, compose: Callable[[Judged], Document],
        *, before: str | None = None,
    ) -> Revision | None:  # fmt: skip
        """Make the change in the ledger and in the file and return the revision; None when there is none to make."""
        beside = ExitStack()
        before = canvas.hash if before is None else before

        def prepared(judged: Judged) -> tuple[Change, Replacement] | None:
            new = compose(judged)
            if more := self._too_many(new):
                raise Refused(f"{canvas.name} {more}; write into a section that exists, or open another canvas")
            change = made(canvas, old, new, verb, self._store.texts)
            if change.file == before:
                return None
            file = self.file(canvas.file).replacement(change.data, _temporary(canvas), before)
            return change, beside.enter_context(file)

        try:
            ready = await self._judging(prepared)
            if ready is None:
                return None
            change, new = ready
            with trio.CancelScope(shield=True):  # what has begun is finished, whether or not the caller waits for it
                revision = await self._put(canvas, caller, change, new, beside, before)
                self._teller.placed(canvas, (old, change.new))
            return revision
        except OSError as error:
            raise Refused(f"{canvas.file} cannot be written: {error.strerror}; nothing was changed") from None
        except Unreadable as error:
            raise Refused(f"{canvas.file} cannot be written: {error}; nothing was changed") from None
        finally:
            beside.close()

    async def _put(
        self, canvas: Canvas, caller: Caller, change: Change, new: Replacement, beside: ExitStack, before: str
    ) -> Revision:
        was = msgspec.structs.replace(canvas, parts=dict(canvas.parts), last=dict(canvas.last))
        record, revision = self._revised(canvas, change, str(caller), caller, before)
        await self._store.append(*change.texts, record)

        def put() -> None:
            with beside:
                self._stamps[canvas.id] = new.stamp  # first: the watch may hear of it at once
                new.put()

        try:
            await trio.to_thread.run_sync(put)
        except (OSError, Unreadable, Refused, FileChanged):
            await self._store.take_back(was, revision.n)
            raise
        self._known[canvas.id] = change.file, change.new
        self._unsettled[canvas.id] = self.file(canvas.file)
        self._put_one.set()
        return revision

    # -- records ------------------------------------------------------------------------------------------------

    def _revised(
        self, canvas: Canvas, change: Change, by: str, caller: Caller | None = None, before: str = ""
    ) -> tuple[Draft, Revision]:
        """Return the record of a revision, and what it says."""
        who = address(caller) if caller else ""
        revision = Revision(
            canvas.revision + 1, by, self.now(), change.file, change.touched, change.refs, change.order, by_id=who,
            before=before, tell=bool(change.touched and self._notifier.concerned(canvas, who)),
            hops=caller.hops + 1 if caller and is_agents(caller) else 0, trace=caller.trace if caller else "",
        )  # fmt: skip
        return self._store.revised(canvas, revision), revision


def _temporary(canvas: Canvas) -> str:
    return f".{canvas.id.lower()}.canvas-new"
