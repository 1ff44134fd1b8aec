"""An eye on the files: the system says when something stirs, and only then is looked. Nothing polls."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from aegis import Kernel, Refused
from aegis.events import Fault
from aegis_canvas.place import Unreadable
from aegis_canvas.scribe import Scribe
from aegis_canvas.shelf import Canvas, Shelf

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

_SETTLE, _LONGEST = 0.05, 1.0  # seconds without news before a look, so that half a file is not seen; at most so long
_STIRRED = frozenset({"created", "modified", "moved", "deleted", "closed"})  # to open or to read is nothing


class Watch:
    """Looks at canvases whose files somebody else may have touched."""

    name = "watch"

    def __init__(self, kernel: Kernel, shelf: Shelf, scribe: Scribe) -> None:
        self._kernel, self._shelf, self._scribe = kernel, shelf, scribe
        self._news = trio.Event()
        self._stirred: set[str] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._paths: dict[str, set[str]] = {}  # a path that matters → the canvases it matters to
        self._watched: dict[str, tuple[int, Any]] = {}  # a folder → its inode and the watch on it

    def renew(self) -> None:
        """Have what is to be watched found anew, soon."""
        self._news.set()

    def dispatch(self, event: Any) -> None:
        """Take word of something that stirred, from the observer's thread."""
        paths = {str(path) for path in (event.src_path, event.dest_path) if path}
        if event.event_type in _STIRRED and self._token and not paths.isdisjoint(self._paths):
            try:
                self._token.run_sync_soon(self._take, paths)
            except trio.RunFinishedError:
                pass  # aegis is over; what stirs now is noticed when it starts again

    def _take(self, paths: set[str]) -> None:
        self._stirred |= paths
        self._news.set()

    async def run(self) -> None:
        """Notice what was done to the files while nobody looked, then whatever is done from now on."""
        from watchdog.observers import Observer  # noqa: PLC0415 - paid for once there is a canvas

        self._token = trio.lowlevel.current_trio_token()
        await self._tidy()
        while not self._shelf.canvases:
            await self._awaited()
        logging.getLogger("watchdog").addHandler(logging.NullHandler())  # it calls each stop an error, on stderr
        observer = Observer()
        observer.start()
        try:
            self._renew(observer)
            await self._look(self._shelf.canvases)
            while True:
                await self._awaited()
                stirred, self._stirred = self._stirred, set()
                concerned = {x for path in stirred for x in self._paths.get(path, ())}
                self._renew(observer)
                await self._look(concerned)
        finally:
            self._watched, self._paths = {}, {}
            observer.stop()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(observer.join)

    async def _tidy(self) -> None:
        """End what agents had that were closed when nobody could note it."""
        living = {agent.id for agent in self._kernel.roster}
        for canvas in self._shelf.canvases.values():
            gone = [who for who in canvas.subscribers if self._gone(who, living)]
            held = [c.section for c in canvas.claims.values() if self._gone(c.holder, living)]
            drafts = [self._shelf.draft("unsubscribed", canvas, who=who) for who in gone]
            drafts += [self._shelf.draft("released", canvas, section=section) for section in held]
            if drafts:
                await self._shelf.store(*drafts)

    def _gone(self, who: str, living: set[str]) -> bool:
        absent = self._kernel.roster.absent
        return ":" not in who and who not in living and self._kernel.roster.label(who) not in absent

    async def _awaited(self) -> None:
        """Return after news, once it is quiet again."""
        await self._news.wait()
        with trio.move_on_after(_LONGEST):
            while self._news.is_set():
                self._news = trio.Event()
                with trio.move_on_after(_SETTLE):
                    await self._news.wait()

    async def _look(self, canvases: Iterable[str]) -> None:
        for canvas_id in list(canvases):
            if canvas := self._shelf.canvases.get(canvas_id):
                try:
                    await self._scribe.look(canvas)
                except Refused:
                    pass  # it was closed meanwhile

    def _renew(self, observer: BaseObserver) -> None:
        """Watch the folders that lead to canvases, as far as they are there, and no others."""
        paths: dict[str, set[str]] = {}
        folders: dict[str, int] = {}
        for canvas in self._shelf.canvases.values():
            for path in self._ways(canvas):
                for step in (path, *path.parents):
                    paths.setdefault(str(step), set()).add(canvas.id)
                    if step.parent == step or step == self._kernel.project.root:
                        break
                    if step.parent.is_dir():
                        folders[str(step.parent)] = step.parent.stat().st_ino
        self._paths = paths
        for folder, (inode, watch) in list(self._watched.items()):
            if folders.get(folder) != inode:
                del self._watched[folder]
                try:
                    observer.unschedule(watch)
                except KeyError:
                    pass  # it went with its folder
        for folder, inode in folders.items():
            if folder not in self._watched:
                try:
                    self._watched[folder] = inode, observer.schedule(self, folder)  # type: ignore[arg-type]
                except OSError as error:
                    self._kernel.bus.report(Fault("canvas", f"changes in {folder} are not noticed: {error}"))

    def _ways(self, canvas: Canvas) -> set[Path]:
        """Return where the canvas's file is looked for, and where it is."""
        place = self._scribe.place(canvas.file)
        try:
            return {place.path, place.real()}
        except (OSError, Unreadable, Refused):
            return {place.path}
