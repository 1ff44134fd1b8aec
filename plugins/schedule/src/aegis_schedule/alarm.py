"""Waiting until the clock on the wall shows a time, also when the computer sleeps meanwhile or its clock is set.

Linux has a timer for that (`timerfd`): nothing wakes up in between. Elsewhere the clock is looked at once a minute.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from contextlib import suppress
from datetime import datetime
from typing import Self

import trio

from aegis.clock import Clock

_REALTIME, _FLAGS = 0, os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
_ABSOLUTE, _TELL_WHEN_SET = 1, 2
_SLICE = 60.0
_FOREVER = 10**10  # seconds since 1970


class _Spec(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class Alarm:
    """Waits for times of one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # A clock of tests moves with trio's own.
        self._machines = type(clock) is Clock
        self._fd = _timer() if self._machines and sys.platform == "linux" else None

    async def until(self, when: datetime | None, changed: trio.Event) -> None:
        """Return at that time (None: never), soon after the clock was set, or when the event is set; maybe earlier."""
        async with trio.open_nursery() as nursery:

            async def news() -> None:
                await changed.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(news)
            if self._fd is not None:
                await self._wait(self._fd, when)
            elif when is None:
                await trio.sleep_forever()
            else:
                seconds = max(0.0, (when - self._clock.now()).total_seconds())
                await trio.sleep(min(seconds, _SLICE) if self._machines else seconds)
            nursery.cancel_scope.cancel()

    async def _wait(self, fd: int, when: datetime | None) -> None:
        seconds, rest = divmod(when.timestamp(), 1) if when else (_FOREVER, 0.0)
        spec = _Spec(0, 0, max(0, int(seconds)), int(rest * 1e9) or 1)
        if _libc().timerfd_settime(fd, _ABSOLUTE | _TELL_WHEN_SET, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        await trio.lowlevel.wait_readable(fd)
        with suppress(BlockingIOError):
            try:
                os.read(fd, 8)
            except OSError as error:
                if error.errno != errno.ECANCELED:  # the clock was set
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _timer() -> int | None:
    fd: int = _libc().timerfd_create(_REALTIME, _FLAGS)
    return fd if fd >= 0 else None
