"""Who watches a canvas is told of its revisions once they are in the file: of all that are new in one append.

A revision is stored with the word that it is to be told. The mail is made of it afterwards, and stored together with
`told`: so nobody waits for mail but who reads it, and each revision is told once, whatever dies in between.
"""

from __future__ import annotations

import trio

from aegis_canvas.document import Document
from aegis_canvas.notifier import Letters, Notifier
from aegis_canvas.store import Canvas, Revision, Store

_PAUSE = 0.005  # seconds: the writer is answered first, and who writes twice is told of once
Texts = tuple[Document, Document]  # before and after


class Teller:
    """Writes the mail about revisions."""

    def __init__(self, store: Store, notifier: Notifier) -> None:
        self._store, self._notifier = store, notifier
        self._news, self._telling = trio.Event(), trio.Lock()
        self._placed: dict[str, int] = {}  # canvas → its newest revision that is in its file
        self._unanswered: set[str] = set()  # canvases whose newest writer may not know that its text was taken
        self._texts: dict[tuple[str, int], Texts] = {}

    def placed(self, canvas: Canvas, texts: Texts | None = None, *, answered: bool = True) -> None:
        """Have everybody told of what is in the file now; `texts` spares putting them together from the book."""
        self._placed[canvas.id] = canvas.revision
        if not answered:
            self._unanswered.add(canvas.id)
        if canvas.untold:
            if texts:
                self._texts[canvas.id, canvas.revision] = texts
            self._news.set()

    async def run(self) -> None:
        """Tell, for as long as canvases are used."""
        while True:
            await self._news.wait()
            await trio.sleep(_PAUSE)
            self._news = trio.Event()
            await self.tell_all()

    async def tell_all(self) -> None:
        """Tell of everything that is in a file."""
        for canvas in list(self._store.canvases.values()):
            await self.tell(canvas)

    async def tell(self, canvas: Canvas) -> None:
        """Tell of what is in this canvas's file."""
        async with self._telling:  # of two who tell, one would tell it again
            await self._tell(canvas)

    async def _tell(self, canvas: Canvas) -> None:
        due = [revision for revision in canvas.untold if revision.n <= self._placed.get(canvas.id, 0)]
        if not due:
            return
        letters: Letters = []
        for revision in due:
            letters += self._notifier.revised(canvas, revision, *self._between(canvas, revision))
        if canvas.id in self._unanswered:
            letters += self._to_writer(canvas, due[-1], letters)
        self._unanswered.discard(canvas.id)
        await self._notifier.append([self._store.draft("told", canvas, n=due[-1].n)], letters)

    def _between(self, canvas: Canvas, revision: Revision) -> Texts:
        if known := self._texts.pop((canvas.id, revision.n), None):
            return known
        before, after = (self._store.parts_at(canvas, n) if n else () for n in (revision.n - 1, revision.n))
        return self._store.former(before), self._store.former(after)

    def _to_writer(self, canvas: Canvas, revision: Revision, letters: Letters) -> Letters:
        if not revision.by_id or revision.by_id in {who for who, _ in letters}:
            return []
        done = f"version {revision.n}, by {revision.by}, was written although aegis stopped while writing it"
        return self._notifier.one(canvas, revision.by_id, done)
