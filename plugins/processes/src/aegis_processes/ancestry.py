"""Where a process comes from: the marks that it and its ancestors carry. Whoever wants to hide that can."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from aegis_processes.processes import FOR, MARK, started


class Gone(Exception):
    """There is no such process any more, so nobody can say where it came from."""


def origins(pid: int) -> list[tuple[int, str]]:
    """Return a process and its ancestors, closest first and without this one: the number of each, and whose it is.

    That is the mark of the command started here that it is, else what its environment says: first for whom it acts,
    then its mark. It is empty where neither says anything. A process outside this namespace has no origins; raises
    `Gone` for one that has ended.
    """
    if pid <= 0:
        return []
    try:
        process = psutil.Process(pid)
        family = [process, *process.parents()]
    except psutil.Error:
        raise Gone(f"process {pid} has ended") from None
    numbers = [one.pid for one in family]
    ours = numbers.index(os.getpid()) if os.getpid() in numbers else len(numbers)
    return [(one.pid, started.get(one.pid) or _says(one)) for one in family[:ours]]


def _says(process: psutil.Process) -> str:
    with suppress(psutil.Error, OSError):  # another user's, or it has just ended
        environment = process.environ()
        return environment.get(FOR) or environment.get(MARK, "")
    return ""
