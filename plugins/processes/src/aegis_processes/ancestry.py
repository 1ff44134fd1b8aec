"""Where a process comes from: the marks that it and its ancestors carry. Whoever wants to hide that can."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from aegis_processes import proc
from aegis_processes.family import families, whose
from aegis_processes.leftovers import FOR, MARK


class Gone(Exception):
    """There is no such process any more, so nobody can say where it came from."""


def origins(pid: int) -> list[tuple[int, str]]:
    """Return a process and its ancestors, closest first and without this one: the number of each, and whose it is.

    That is the mark of the command started here that it is, else what its environment says: first for whom it acts,
    then its mark; else the command that it came of, however it left it. It is empty where nothing says anything. A
    process outside this namespace has no origins; raises `Gone` for one that has ended.
    """
    if pid <= 0:
        return []
    return [(one, _of_command(one) or _says(variables) or whose(one)) for one, variables in _family(pid)]


def _of_command(pid: int) -> str:
    family = families.get(pid)
    return family.whose if family else ""


def _says(variables: Mapping[str, str]) -> str:
    return variables.get(FOR) or variables.get(MARK, "")


def _family(pid: int) -> list[tuple[int, Mapping[str, str]]]:
    """Return the process and its ancestors up to this one, with their variables as far as they may be read."""
    if not proc.lists_children():
        return _seen_by_psutil(pid)
    found: list[tuple[int, Mapping[str, str]]] = []
    while pid > 0 and pid != os.getpid() and (known := proc.stat(pid)):
        found.append((pid, proc.environment(pid)))
        pid = known.parent
    if not found and pid != os.getpid():
        raise Gone(f"process {pid} has ended")
    return found


def _seen_by_psutil(pid: int) -> list[tuple[int, Mapping[str, str]]]:
    import psutil  # noqa: PLC0415 - only where the system has no files that say it

    try:
        process = psutil.Process(pid)
        family = [process, *process.parents()]
    except psutil.Error:
        raise Gone(f"process {pid} has ended") from None
    found: list[tuple[int, Mapping[str, str]]] = []
    for one in family:
        if one.pid == os.getpid():
            break
        variables: Mapping[str, str] = {}
        with suppress(psutil.Error, OSError):  # another user's, or it has just ended
            variables = one.environ()
        found.append((one.pid, variables))
    return found
