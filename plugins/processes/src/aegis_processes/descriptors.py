"""How many files this process may have open: all that the system allows, while what it starts has the usual number."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 65_536  # more is asked for by nobody, and some programs walk through all numbers up to the limit
_usual: tuple[int, int] | None = None


def raise_limit() -> int:
    """Raise the soft limit of open files towards the hard one and return it; what it was is kept for children."""
    global _usual  # noqa: PLW0603 - it is the process that has the limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a system may allow less than it says
        return soft
    _usual = _usual or (soft, hard)
    return wanted


def limit() -> int:
    """Return how many files this process may have open now."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def usual_limit(pid: int) -> None:
    """Give a child the limit that this process was started with, where the system can (Linux)."""
    if _usual and hasattr(resource, "prlimit"):
        with suppress(OSError):  # it has ended, or runs as somebody else
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _usual)
