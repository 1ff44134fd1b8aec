"""The watch on `.aegis.yaml`, its overlays, and the files that they name. The system reports; nothing polls.

What is saved is in force at once where it is trusted; else it waits, and every surface says so.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from aegis import ConfigError, Kernel
from aegis.events import Fault
from aegis.project import FILE

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

WHO = "a change of the file"
_QUIET = 0.1  # seconds without news before the files are read: editors write several times
_FOLDERS = 12  # of named files; each costs a thread, and what else has changed is noticed when it is to run
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})  # opening and reading change nothing


class Watch:
    """Reads the configuration again when somebody has saved it."""

    name = "watch"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._root = kernel, kernel.project.root
        self._news = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._watched: dict[Path, Any] = {}
        self._named: set[Path] = set()

    def dispatch(self, event: Any) -> None:
        """Take an event of the file system, from the observer's thread."""
        paths = [Path(path) for path in (event.src_path, event.dest_path) if path]
        if event.event_type in _CHANGES and self._token and any(map(self._matters, paths)):
            with suppress(trio.RunFinishedError):  # aegis has stopped
                self._token.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._news.set()

    def _matters(self, path: Path) -> bool:
        overlays = self._root / ".aegis"
        section = overlays in (path, path.parent) and not path.name.startswith(".edit")
        overlay = path.suffix == ".yaml" and path.parent.parent == overlays
        ours = path in (self._root / FILE, (self._root / FILE).resolve()) or path in self._named
        return ours or section or overlay or path.parent == self._kernel.trust.records.place

    async def run(self) -> None:
        """Watch until cancelled; a wrong file is said as an event and changes nothing."""
        self._token = trio.lowlevel.current_trio_token()
        observer: BaseObserver = await trio.to_thread.run_sync(_started)
        try:
            while True:
                self._news = trio.Event()
                trust = self._kernel.trust
                self._named = set() if trust.vouched else await trio.to_thread.run_sync(trust.named)
                if not self._renew(observer):
                    await self._reread()  # after a change, or what was saved while nobody watched
                    await self._news.wait()
                    await trio.sleep(_QUIET)
        finally:
            self._watched.clear()
            observer.stop()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(observer.join)

    def _renew(self, observer: BaseObserver) -> bool:
        """Watch the folders that matter now and return whether they are others than before."""
        overlays = self._root / ".aegis"
        sections = [f for f in overlays.glob("*") if f.is_dir() and f != self._kernel.project.state]
        trust = self._kernel.trust
        folders = set(sorted({path.parent for path in self._named if path.exists()})[:_FOLDERS])
        folders |= {self._root, (self._root / FILE).resolve().parent, overlays, *sections}
        wanted = {f for f in (*folders, *(() if trust.vouched else (trust.records.place,))) if f.is_dir()}
        changed = wanted != self._watched.keys()
        for folder in self._watched.keys() - wanted:
            with suppress(KeyError):  # the watch ended with its folder
                observer.unschedule(self._watched.pop(folder))
        for folder in wanted - self._watched.keys():
            try:
                self._watched[folder] = observer.schedule(self, str(folder), event_filter=_changes())  # type: ignore[arg-type]
            except OSError as error:
                self._watched[folder] = None
                self._kernel.bus.report(Fault("configedit", f"changes in {folder} are not noticed: {error}"))
        return changed

    async def _reread(self) -> None:
        with suppress(ConfigError):  # it was said, and the last good one stays in force
            await self._kernel.config.refresh(WHO)


def _changes() -> list[type[Any]]:
    """Return what is told of: with the openings of files, too, the watch would wake for each that aegis opens."""
    from watchdog import events  # noqa: PLC0415 - as below

    files = [events.FileCreatedEvent, events.FileModifiedEvent, events.FileMovedEvent, events.FileDeletedEvent]
    folders = [events.DirCreatedEvent, events.DirModifiedEvent, events.DirMovedEvent, events.DirDeletedEvent]
    return [*files, *folders, events.FileClosedEvent]


def _started() -> BaseObserver:
    from watchdog.observers import Observer  # noqa: PLC0415 - its import takes time, and nobody waits for it here

    logging.getLogger("watchdog").addHandler(logging.NullHandler())  # it logs each stop as an error, on stderr
    observer = Observer()
    observer.start()
    return observer
