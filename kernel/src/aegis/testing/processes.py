"""Looking at processes from outside: any of them may end between two looks, which is an answer and not an error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable

import psutil

DEAF_TO = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD)
_DEAFEN = f"""
import os, signal, sys
for number in {tuple(map(int, DEAF_TO))}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def runs(process: psutil.Process | int) -> bool:
    """Return whether the process, or the one with this id, exists and is not a zombie."""
    try:
        process = psutil.Process(process) if isinstance(process, int) else process
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def those(
    true: Callable[[psutil.Process], bool], among: Iterable[psutil.Process] | None = None
) -> list[psutil.Process]:
    """Return the running processes of which this is true, of all or among these."""
    found = []
    for process in psutil.process_iter() if among is None else among:
        try:
            if true(process) and runs(process):
                found.append(process)
        except (psutil.Error, OSError):  # it has ended, or is somebody else's
            continue
    return found


def descendants(pid: int, name: str) -> list[psutil.Process]:
    """Return the running descendants of a process that have this name."""
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return those(lambda process: process.name() == name, family)


def with_variable(name: str, *values: str) -> list[psutil.Process]:
    """Return the running processes in whose environment this variable has one of these values."""
    return those(lambda process: process.environ().get(name) in values)


def commands(processes: Iterable[psutil.Process]) -> list[str]:
    """Return the command lines of these processes; of one that has ended since, nothing is said."""
    lines: dict[int, str] = {}

    def read(process: psutil.Process) -> bool:
        lines[process.pid] = " ".join(process.cmdline())
        return True

    return [lines[process.pid] for process in those(read, processes)]


def deafened(*command: str) -> list[str]:
    """Return a command that becomes this one with every signal blocked and some ignored, as a parent may leave them."""
    return [sys.executable, "-c", _DEAFEN, *command]
