"""What a test left behind: child processes and open descriptors; seen in /proc, so only where there is one."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import NamedTuple

from aegis_processes import imports

_PROC = Path("/proc/self")
_IMPORT = 60.0  # seconds for an import under way


class Held(NamedTuple):
    """What this process holds at one moment."""

    children: frozenset[int]
    descriptors: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> Held:
        """Look."""
        return cls(frozenset(_children()), frozenset(_descriptors()))


def left(before: Held) -> list[str]:
    """Return what is held now and was not before, as sentences; what the collector would close does not count."""
    if not _differences(before):
        return []
    imports.wait(_IMPORT)  # it belongs to the process, and looks into folders
    gc.collect()
    return _differences(before)


def _differences(before: Held) -> list[str]:
    now = Held.now()
    found = [f"process {pid} ({_command(pid)}) still runs" for pid in sorted(now.children - before.children)]
    opened = sorted(now.descriptors - before.descriptors)
    return found + [f"descriptor {fd} ({what}) is still open" for fd, what in opened]


def _children() -> list[int]:
    try:
        tasks = list((_PROC / "task").iterdir())
        return [int(pid) for task in tasks for pid in (task / "children").read_text(encoding="utf-8").split()]
    except OSError:
        return []


def _descriptors() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    try:
        links = list((_PROC / "fd").iterdir())
    except OSError:
        return []
    for link in links:
        try:
            found.append((link.name, str(link.readlink())))
        except OSError:  # the descriptor by which the folder itself was read
            continue
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "gone"
