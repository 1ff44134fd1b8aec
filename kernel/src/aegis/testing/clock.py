"""Time under a test's control: trio's `MockClock`, and the kernel's wall clock bound to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio
from trio.testing import MockClock

from aegis.clock import Clock
from aegis_ledger.ledger import running

BEGINNING = datetime(2026, 1, 5, 10, tzinfo=UTC)
_IDLE = 0.02  # real seconds without a runnable task


class TestClock(Clock):
    """A wall clock that starts at `BEGINNING` and moves with trio's own: at life's pace, by `jump` or `autojump`."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    def __init__(self) -> None:
        self.trio = MockClock(rate=1)
        jump = self.trio._autojump  # noqa: SLF001 - trio has no public way to say what else is not idle

        def when_idle() -> None:
            if not _busy():
                jump()

        self.trio._autojump = when_idle  # type: ignore[method-assign]  # noqa: SLF001 - as above

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return BEGINNING + timedelta(seconds=self.trio.current_time())

    def jump(self, seconds: float) -> None:
        """Move on; whatever sleeps for no longer than this wakes up."""
        self.trio.jump(seconds)

    def autojump(self) -> None:
        """From now on, move to the next deadline whenever every task waits, and no thread or ledger works.

        Not for tests with processes.
        """
        self.trio.autojump_threshold = _IDLE


async def settled() -> None:
    """Return once every other task waits for something outside, and no thread or ledger works."""
    await trio.testing.wait_all_tasks_blocked()
    while _busy():
        await trio.testing.wait_all_tasks_blocked(0.001)


def _busy() -> bool:
    threads = trio.to_thread.current_default_thread_limiter().borrowed_tokens
    return bool(threads or any(ledger.busy for ledger in running))
