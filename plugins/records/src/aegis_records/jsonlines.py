"""JSON lines on disk: appended in batches off the loop, readable by people, never needed for recovery."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import trio

from aegis.events import Fault
from aegis_private.folder import Folder, open_own
from aegis_pubsub.stream import moment
from aegis_records.open_files import OpenFiles

_AGAIN, _LONGEST = 0.5, 30.0  # seconds until what was not written is tried again, at first and at most
EVERY = 0.05  # seconds that lines wait for more of them: so much of a transcript a crash may lose
_ENOUGH = 4 * 2**20  # bytes waiting at which a writer is made to wait for the disk


class Appender:
    """Appends to files under one folder; what the disk does not take now is written later, and stops nobody.

    As long as something is not written, `trouble` says so; only what is more than memory may hold is lost. A file that
    has reached `most()` bytes is kept as `NAME.old`, in place of the one that was, and begun anew. What is added waits
    for more, `every` seconds at most, unless somebody waits for it: one batch for all files.
    """

    def __init__(
        self,
        folder: Path,
        report: Callable[[Fault], None],
        most: Callable[[], float] = lambda: inf,
        every: float = EVERY,
    ) -> None:
        self.folder, self._report, self._most, self._every = folder, report, most, every
        self._trouble, self._lost, self._patience = "", 0, _AGAIN
        self._waiting: dict[str, bytearray] = {}
        self._wake, self._hurry, self._flushed = trio.Event(), trio.Event(), trio.Event()
        self._writing, self._written = False, 0  # whether, and how many times, the disk was written to
        self._files = OpenFiles(folder)
        self._begun: set[str] = set()  # files whose last line is ours, and the rest of it waits

    def buffer(self, name: str) -> bytearray:
        """Return the buffer of a file, to which whole lines may be added before the next checkpoint."""
        self._wake.set()
        return self._waiting.setdefault(name, bytearray())

    def remove(self, name: str) -> None:
        """Have no file of this name."""
        with Folder.open(self.folder, OSError) as folder:
            folder.remove(name)

    async def room(self) -> None:
        """Wait for the disk when so much waits that memory would grow."""
        if sum(map(len, self._waiting.values())) > _ENOUGH and not self._trouble:
            self._hurry.set()
            await self._flushed.wait()

    async def flush(self) -> None:
        """Wait until what was added before is in the files."""
        if self._trouble and not self._writing:  # who asks does not wait until it is tried again
            await self.write()
            return
        if self._waiting:
            self._hurry.set()
        upto = self._written + bool(self._waiting) + self._writing
        while self._written < upto:  # and not what comes meanwhile: that never ends
            await self._flushed.wait()

    async def serve(self) -> None:
        """Write what is added until cancelled, and then what is left."""
        try:
            await self.run()
        finally:
            await self.finish()

    async def finish(self) -> None:
        """Write what is left, whatever is cancelled, and hold no file open."""
        with trio.CancelScope(shield=True):
            await self.write()
        self._files.close()

    async def run(self) -> None:
        """Write what is added until cancelled; `finish` then takes what is left."""
        while True:
            if self._trouble:  # once more after a while, whether something comes or not
                await trio.sleep(self._patience)
                self._patience = min(2 * self._patience, _LONGEST)
            else:
                await self._wake.wait()
                if self._every:
                    with trio.move_on_at(moment(self._every)):
                        await self._hurry.wait()
            await self.write()

    def trouble(self) -> list[str]:
        """Return why lines are not written now, and how many bytes wait or are lost; nothing when all is well."""
        if not self._trouble:
            return []
        lost = f", {self._lost:,} bytes are lost" if self._lost else ""
        waiting = sum(map(len, self._waiting.values()))
        return [f"records are not written: {self._trouble} ({waiting:,} bytes wait{lost}); they are tried again"]

    async def write(self) -> None:
        """Put what waits into the files now."""
        self._wake, self._hurry = trio.Event(), trio.Event()
        waiting, self._waiting, self._writing = self._waiting, {}, True
        try:
            await trio.to_thread.run_sync(self._append, waiting)
        except OSError as error:
            self._put_back(waiting)
            if not self._trouble:
                self._report(Fault("records", f"lines were not written, and are tried again: {error}"))
            self._trouble = str(error)
        else:
            if self._trouble:
                lost = f"; {self._lost:,} bytes are lost" if self._lost else ""
                self._report(Fault("records", f"what had not been written is written now{lost}"))
            self._trouble, self._lost, self._patience = "", 0, _AGAIN
        self._writing, self._written = False, self._written + 1
        self._flushed.set()
        self._flushed = trio.Event()

    def _put_back(self, left: dict[str, bytearray]) -> None:
        """Have what was not written wait in front of what came meanwhile, as much as memory may hold."""
        for name, data in left.items():
            if data:
                self._waiting[name] = data + self._waiting.get(name, bytearray())
        for name, data in sorted(self._waiting.items(), key=lambda entry: -len(entry[1])):
            if (over := sum(map(len, self._waiting.values())) - _ENOUGH) > 0:  # the oldest lines of the longest file
                end = data.find(b"\n", min(over, len(data) - 1)) + 1 or len(data)
                self._lost += end
                del self._waiting[name][:end]

    def _append(self, waiting: dict[str, bytearray]) -> None:
        failed: list[OSError] = []
        for name, data in waiting.items():
            try:
                self._append_to(name, data)
                data.clear()
            except OSError as error:  # the other files get theirs
                failed.append(error)
        if failed:
            self._files.close()  # whatever is wrong with a folder may come right
            raise failed[0]

    def _append_to(self, name: str, data: bytearray) -> None:
        (fd, size, known), more = self._files.descriptor(name), len(data)
        if not known and size and name not in self._begun and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")  # a line that a kill has torn takes no other with it
        self._begun.add(name)
        while data:  # what a full disk takes in part is not written twice
            del data[: os.write(fd, data)]
        self._begun.discard(name)
        if size + more >= self._most():
            self._files.rename(name, f"{name}.old")


def read_lines(path: Path) -> Iterator[Any]:
    """Yield the value of each line; torn or damaged lines are passed over, a missing file has none."""
    try:
        file = open_own(path)
    except FileNotFoundError:
        return
    with file:
        yield from _decoded(file)


def _decoded(lines: Iterable[bytes]) -> Iterator[Any]:
    for line in lines:
        try:
            yield msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
