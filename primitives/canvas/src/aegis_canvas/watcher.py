"""The watch on the files: the system reports changes, and only then is a file read. Nothing polls."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from aegis import Kernel, Refused
from aegis.events import Fault
from aegis_canvas.safe_file import SafeFile, Unreadable, stamp_of
from aegis_canvas.store import Store
from aegis_canvas.writer import Writer

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

_QUIET, _LONGEST = 0.05, 1.0  # seconds without news before a file is read, so that it is whole; wait no longer than
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})  # opening and reading change nothing
_ASKED = ("Created", "Moved", "Deleted", *(() if sys.platform == "linux" else ("Modified",)))  # Linux says "closed"


class Watcher:
    """Refreshes canvases whose files were changed outside aegis."""

    def __init__(self, kernel: Kernel, store: Store, writer: Writer) -> None:
        self._kernel, self._store, self._writer = kernel, store, writer
        self._news = trio.Event()
        self._changed: set[str] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._paths: dict[str, set[str]] = {}  # a path that matters → the canvases it matters to
        self._watched: dict[str, tuple[int, Any]] = {}  # a folder → its inode and the watch on it

    def renew(self) -> None:
        """Have the folders to watch listed again, soon."""
        self._news.set()

    def dispatch(self, event: Any) -> None:
        """Take an event of the file system, from the observer's thread."""
        if event.event_type not in _CHANGES or (event.is_directory and event.event_type == "modified"):
            return  # that a folder has other names in it is said by these as well
        paths = {str(path) for path in (event.src_path, event.dest_path) if path}
        if self._token and not paths.isdisjoint(self._paths) and not self._is_own(paths):
            try:
                self._token.run_sync_soon(self._take, paths)
            except trio.RunFinishedError:
                pass  # aegis has stopped; this change is noticed when it starts again

    def _is_own(self, paths: set[str]) -> bool:
        """Return whether all that there is at these paths was put there by this process."""
        for path in paths & self._paths.keys():
            try:
                seen = stamp_of(os.stat(path))  # noqa: PTH116 - as the file was put in place
            except OSError:
                return False
            if not any(self._writer.is_own(canvas, seen) for canvas in self._paths[path]):
                return False
        return True

    def _take(self, paths: set[str]) -> None:
        self._changed |= paths
        self._news.set()

    async def run(self) -> None:
        """Record what was done to the files while aegis was not running, then every change from now on."""
        from watchdog.observers import Observer  # noqa: PLC0415 - its import takes time: wait until it is needed

        self._token = trio.lowlevel.current_trio_token()
        while not self._store.canvases:
            await self._awaited()
        logging.getLogger("watchdog").addHandler(logging.NullHandler())  # it logs each stop as an error, on stderr
        observer = Observer()
        observer.start()
        try:
            await self._renew(observer)
            await self._refresh(self._store.canvases)
            while True:
                await self._awaited()
                changed, self._changed = self._changed, set()
                concerned = {x for path in changed for x in self._paths.get(path, ())}
                await self._renew(observer)
                await self._refresh(concerned)
        finally:
            self._watched, self._paths = {}, {}
            observer.stop()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(observer.join)

    async def _awaited(self) -> None:
        """Return once something has changed and nothing more is changing."""
        await self._news.wait()
        with trio.move_on_after(_LONGEST):
            while self._news.is_set():
                self._news = trio.Event()
                with trio.move_on_after(_QUIET):
                    await self._news.wait()

    async def _refresh(self, canvases: Iterable[str]) -> None:
        for canvas_id in list(canvases):
            if canvas := self._store.canvases.get(canvas_id):
                try:
                    await self._writer.refresh(canvas)
                except Refused:
                    pass  # it was closed a moment ago

    async def _renew(self, observer: BaseObserver) -> None:
        """Watch the existing folders on the way to each canvas, and no others."""
        files = [(canvas.id, self._writer.file(canvas.file)) for canvas in self._store.canvases.values()]
        await trio.to_thread.run_sync(self._watch, observer, files)

    def _watch(self, observer: BaseObserver, files: list[tuple[str, SafeFile]]) -> None:
        paths: dict[str, set[str]] = {}
        folders: dict[str, int] = {}
        for canvas, file in files:
            for path in _locations(file):
                for step in (path, *path.parents):
                    paths.setdefault(str(step), set()).add(canvas)
                    if step.parent == step or step == file.root:
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
                    pass  # it ended with its folder
        for folder, inode in folders.items():
            if folder not in self._watched:
                try:
                    self._watched[folder] = inode, observer.schedule(self, folder, event_filter=_asked())  # type: ignore[arg-type]
                except OSError as error:
                    self._report(f"changes in {folder} are not noticed: {error}")

    def _report(self, words: str) -> None:
        trio.from_thread.run_sync(self._kernel.bus.report, Fault("canvas", words))


def _locations(file: SafeFile) -> set[Path]:
    """Return the path of the canvas's file, and where its symbolic links lead."""
    try:
        return {file.path, file.real()}
    except (OSError, Unreadable, Refused):
        return {file.path}


def _asked() -> list[type[FileSystemEvent]]:
    from watchdog import events  # noqa: PLC0415 - the same

    kinds = [getattr(events, f"{what}{kind}Event") for kind in _ASKED for what in ("File", "Dir")]
    return [*kinds, events.FileClosedEvent]
