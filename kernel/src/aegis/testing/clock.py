"""Time under a test's control: trio's `MockClock`, and the kernel's wall clock bound to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio
from trio.testing import MockClock

from aegis.clock import Clock

BEGINNING = datetime(2026, 1, 5, 10, tzinfo=UTC)
_IDLE = 0.05  # real seconds without a runnable task; a commit in the ledger's thread must not look like idleness


class TestClock(Clock):
    """A wall clock that starts at `BEGINNING` and moves with trio's own: at life's pace, by `jump` or `autojump`."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    def __init__(self) -> None:
        self.trio = MockClock(rate=1)

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return BEGINNING + timedelta(seconds=self.trio.current_time())

    def jump(self, seconds: float) -> None:
        """Move on; whatever sleeps for no longer than this wakes up."""
        self.trio.jump(seconds)

    def autojump(self) -> None:
        """From now on, move to the next deadline whenever every task waits; not for tests with processes."""
        self.trio.autojump_threshold = _IDLE


async def settled() -> None:
    """Return once every other task waits for something outside."""
    await trio.testing.wait_all_tasks_blocked()
