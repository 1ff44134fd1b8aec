"""What a killed process of ours left running: found by its mark, in one look at all processes of the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import psutil

MARK = "AEGIS_AGENT"  # in the environment of every CLI, and so of every shell it starts: how leftovers are found
FOR = "AEGIS_FOR"  # beside a mark that is not an agent's: the agent for which the process runs
_GONE_BY = 0.5  # seconds for the killed to be gone


class Leftovers:
    """The processes of a former owner of these marks; if it ended in order there are none, and nobody looks."""

    def __init__(self, *, killed: bool) -> None:
        """`killed` says that the former owner did not end in order."""
        self._killed, self._looking = killed, trio.Lock()
        self._running: dict[str, set[psutil.Process]] | None = None  # by their marks

    async def end(self, marks: Collection[str]) -> None:
        """End what runs with one of these marks; the first call looks at all processes, in a thread."""
        if not self._killed or not marks:
            return
        async with self._looking:
            if self._running is None:
                self._running = await trio.to_thread.run_sync(_all_marked)
        if found := self._running.keys() & set(marks):
            those = [process for mark in found for process in self._running.pop(mark)]
            await trio.to_thread.run_sync(sweep, found, those)


def _all_marked() -> dict[str, set[psutil.Process]]:
    import psutil  # noqa: PLC0415 - it is not needed where the former process ended in order

    found: dict[str, set[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and (mark := process.environ().get(MARK)):
                found.setdefault(mark, set()).add(process)
    return found


def sweep(marks: Collection[str], also: Iterable[psutil.Process] = ()) -> None:
    """Kill these and every process of the machine whose environment carries one of the marks, and see them gone.

    CLIs start shells in sessions of their own, which no process group reaches. All are held still before the first is
    killed: none can start another meanwhile, or act on the end of one.
    """
    import psutil  # noqa: PLC0415 - as above

    found: set[psutil.Process] = set()
    fresh = set(also) or set(_marked(marks))
    while fresh:
        for process in fresh:
            with suppress(psutil.Error):  # psutil refuses a pid that was given to another process since
                process.suspend()
        found |= fresh
        fresh = set(_marked(marks)) - found
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    deadline = time.monotonic() + _GONE_BY
    while any(_alive(p) for p in found) and time.monotonic() < deadline:  # waiting for a pid would reap our own child
        time.sleep(0.002)


def relatives(pid: int) -> set[psutil.Process]:
    """Return the process's descendants and those of the session it leads: who cleared its environment has no mark."""
    import psutil  # noqa: PLC0415 - as above

    found: set[psutil.Process] = set()
    with suppress(psutil.Error):
        found |= set(psutil.Process(pid).children(recursive=True))
    for other in psutil.pids():
        with suppress(OSError, psutil.Error):
            if other != pid and os.getsid(other) == pid:
                found.add(psutil.Process(other))
    return found


def _marked(marks: Collection[str]) -> Iterator[psutil.Process]:
    import psutil  # noqa: PLC0415 - as above

    for process in psutil.process_iter() if marks else ():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) in marks:
                yield process


def _alive(process: psutil.Process) -> bool:
    import psutil  # noqa: PLC0415 - as above

    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
