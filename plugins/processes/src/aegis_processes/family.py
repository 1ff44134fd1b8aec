"""What comes of a command: its process and all it starts, known by construction, and ended without a look at others.

On Linux this process is the one to which orphans of its commands fall (a subreaper), and each command carries a number
that all it starts inherit, whatever they do to their environment, group and session. So all of them are found among
our own descendants, and how many other processes the machine has plays no part. Elsewhere all processes are looked at.
"""

from __future__ import annotations

import ctypes
import os
import resource
import secrets
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

import trio

from aegis_processes import proc
from aegis_processes.descriptors import usual_limit
from aegis_processes.leftovers import relatives, sweep

if TYPE_CHECKING:
    import psutil

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_GONE_BY, _GIVE_UP = 0.5, 2.0  # seconds for the killed to be gone; for a family that forks as fast as it is killed
# The number is a limit that limits nothing: microseconds of real-time scheduling without a pause, here 146,000 years.
# Like every limit it is inherited, it survives exec, and a process has no reason to change it.
_LIMIT = getattr(resource, "RLIMIT_RTTIME", -1)
_SERIAL = 28  # bits for commands of this process; those above tell it from other processes that start commands
_OURS = 1 << 34 | secrets.randbits(34)

families: dict[int, Family] = {}  # of the commands that run now, by their process
_numbered: dict[int, Family] = {}
_numbers = count(1)
_reaper: trio.lowlevel.RunVar[bool] = trio.lowlevel.RunVar("reaper")
_own = (0, 0) if _LIMIT < 0 else resource.getrlimit(_LIMIT)
_forking = threading.Lock()  # one number at a time
_ending: list[Family] = []  # they share the next look


def _number_of(pid: int) -> int:
    """Return the number that the process carries; 0 when it has ended, or is another user's."""
    try:
        return resource.prlimit(pid, _LIMIT)[0]
    except (OSError, ValueError):
        return 0


@cache
def _adopts() -> bool:
    """Have orphans of our commands fall to this process; False where the system cannot."""
    if not proc.lists_children() or _LIMIT < 0:
        return False
    try:
        resource.setrlimit(_LIMIT, (_OURS << _SERIAL, _own[1]))
        resource.setrlimit(_LIMIT, _own)
    except (OSError, ValueError):  # there is a limit already
        return False
    return bool(ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0)


def adopt_no_more() -> None:
    """Have orphans fall to the system again, until the next command is started."""
    if _adopts.cache_info().currsize and _adopts():
        ctypes.CDLL(None).prctl(_SUBREAPER, 0, 0, 0, 0)
    _adopts.cache_clear()


class Family:
    """A command's process, in a session of its own, and all it starts."""

    def __init__(self, mark: str, acts_for: str = "") -> None:
        """Name the family before there is one; `mark` says whose it is, and is in its environment like `acts_for`."""
        self.pid, self.mark, self.whose = 0, mark, acts_for or mark
        self.number = (_OURS << _SERIAL) + next(_numbers)
        self.left = False  # somebody of it, when it was looked at last
        self._known = False
        self._relatives: set[psutil.Process] = set()

    async def begin(self) -> None:
        """Get ready for its first process."""
        self._known = _adopts()
        if self._known:
            _start_reaper()

    @contextmanager
    def numbering(self) -> Iterator[None]:
        """Have what is forked now carry the number from its first moment on; in the thread that forks."""
        if not self._known:
            yield
            return
        with _forking:
            _numbered[self.number] = self
            resource.setrlimit(_LIMIT, (self.number, _own[1]))
            try:
                yield
            finally:
                resource.setrlimit(_LIMIT, _own)

    def born(self, pid: int) -> None:
        """Take charge of its process, which was made in this very step."""
        families[pid] = self
        self.pid = pid
        usual_limit(pid)

    async def look(self) -> None:
        """Remember who is there, where that cannot be known once the process has ended."""
        if not self._known:
            self._relatives = await trio.to_thread.run_sync(relatives, self.pid)

    async def end(self, running: bool) -> None:
        """End all of them, whoever is left; `running` when that is true of the process itself."""
        if not self._known:
            also = await trio.to_thread.run_sync(relatives, self.pid) | self._relatives
            await trio.to_thread.run_sync(sweep, {self.mark} - {""}, also)
            return
        _ending.append(self)
        await trio.lowlevel.checkpoint()
        if self in _ending:  # the first; those that end at the same moment need no look of their own
            together = _ending.copy()
            _ending.clear()
            left = reap()
            for family in together:
                family.left = bool(left.get(family.number))
        if running or self.left:
            await trio.to_thread.run_sync(self._kill, running)
            reap()

    def forget(self) -> None:
        """Take the process as gone, and its number as free."""
        _numbered.pop(self.number, None)
        if families.get(self.pid) is self:
            del families[self.pid]

    # -- in a thread ------------------------------------------------------------------------------------------------

    def _members(self, running: bool) -> Iterator[tuple[int, int]]:
        """Yield everyone of the family and its parent, parents first."""
        here = os.getpid()
        waiting = [(pid, here) for pid in _orphans() if _number_of(pid) == self.number]
        if running and families.get(self.pid) is self:
            waiting.append((self.pid, here))
        while waiting:
            pid, _ = pair = waiting.pop()
            yield pair
            waiting += [(child, pid) for child in proc.children(pid)]

    def _kill(self, running: bool) -> None:
        """Kill them all and see them gone. All are held still before the first is killed.

        So none can start another meanwhile, or act on the end of one. What forks faster than it is held still is tried
        again, by whole process groups.
        """
        give_up = time.monotonic() + _GIVE_UP
        while time.monotonic() < give_up:
            held = self._hold(running, give_up)
            try:
                for process in held.values():
                    _send(process, signal.SIGKILL)
                _wait(list(held.values()))
            finally:
                for process in held.values():
                    os.close(process)
            if not held:
                return

    def _hold(self, running: bool, give_up: float) -> dict[tuple[int, int], int]:
        """Stop everyone and return their descriptors, by number and time of birth: a number may be given again."""
        held: dict[tuple[int, int], int] = {}
        seen: set[tuple[int, int]] = set()
        fresh, rounds = True, 0
        while fresh and time.monotonic() < give_up:
            fresh, rounds = False, rounds + 1
            for pid, parent in self._members(running):
                try:
                    process = os.pidfd_open(pid)
                except OSError as error:
                    if isinstance(error, ProcessLookupError):
                        fresh = True  # and what it had started is with another parent now
                        continue
                    return held  # no descriptor is left: these first
                known = proc.stat(pid)  # after it was opened: if this is of the family, so is what was opened
                if not known or (pid, known.began) in seen or known.parent not in (parent, os.getpid()):
                    os.close(process)
                    continue
                fresh = True
                seen.add((pid, known.began))
                if known.ended:
                    os.close(process)
                    continue
                held[pid, known.began] = process
                _send(process, signal.SIGSTOP)
                if rounds > 1 and known.session > 0 and known.session != os.getsid(0):
                    with suppress(OSError):
                        os.killpg(known.group, signal.SIGSTOP)
        return held


def _send(process: int, number: signal.Signals) -> None:
    with suppress(OSError):  # it has ended, or is another user's by now
        signal.pidfd_send_signal(process, number)


def _wait(processes: list[int]) -> None:
    """Wait until all have ended, whoever reaps them, but not for ever: one may be in the middle of a system call."""
    poll, deadline = select.poll(), time.monotonic() + _GONE_BY
    for process in processes:
        poll.register(process, select.POLLIN)
    left = len(processes)
    while left and (rest := deadline - time.monotonic()) > 0:
        for process, _ in poll.poll(rest * 1000):
            poll.unregister(process)
            left -= 1


def _orphans() -> list[int]:
    """Return our children that are not the process of a command; others may have started some of them."""
    return [pid for pid in proc.children_of_first_thread(os.getpid()) if pid not in families]


def reap() -> dict[int, list[int]]:
    """Reap the orphans of commands that have ended, and return the others by their numbers.

    Nobody else waits for one: a child that somebody in this process started carries no number, or is in `families`.
    What outlived the end of its command is killed.
    """
    left: dict[int, list[int]] = {}
    for pid in _orphans():
        number = _number_of(pid)
        if number >> _SERIAL != _OURS:
            continue
        family = _numbered.get(number)
        if family and not family.pid:  # this is its process, in the middle of being started
            continue
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0]:
                continue
            left.setdefault(number, []).append(pid)
            if not family:
                os.kill(pid, signal.SIGKILL)
    return left


def whose(pid: int) -> str:
    """Return whose command it is that the process came of, by the number it carries; empty when it carries none."""
    family = _numbered.get(_number_of(pid)) if _numbered else None
    return family.whose if family else ""


def _start_reaper() -> None:
    """Have orphans reaped that end while their command runs, as long as this run of trio goes on."""
    if threading.current_thread() is threading.main_thread() and not _reaper.get(False):
        _reaper.set(True)  # elsewhere, where no signals are heard, they are reaped as commands end
        trio.lowlevel.spawn_system_task(_reap_orphans, name="reaper of orphans")


async def _reap_orphans() -> None:
    token = trio.lowlevel.current_trio_token()
    before = signal.signal(signal.SIGCHLD, lambda *_: token.run_sync_soon(_child_ended, idempotent=True))
    try:
        await trio.sleep_forever()
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def _child_ended() -> None:
    """Look for orphans, unless the one that ended is the process of a command: at its end there is a look anyway."""
    with suppress(ChildProcessError):  # it was reaped already
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended and ended.si_pid not in families:
            reap()
