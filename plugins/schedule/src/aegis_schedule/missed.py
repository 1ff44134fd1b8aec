"""What is due now, and what of it was missed: while aegis was not running, the computer slept or its clock was set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from aegis_schedule.trigger import Trigger

Policy = Literal["skip", "once", "all"]
LATE = timedelta(seconds=60)  # what begins later than this was missed
MOST = 1_000  # missed times that are counted, and with `all` made up for: the newest


class Due(NamedTuple):
    """The times for which something begins now, oldest first, and how many are dropped; `more` when not all counted."""

    begin: list[datetime]
    dropped: int
    last: datetime
    more: bool = False


def due(trigger: Trigger, after: datetime, now: datetime, policy: Policy, late: timedelta = LATE) -> Due | None:
    """Return what is due after one time and up to now, None when nothing is; the same times are never due twice.

    A time that has just come is always begun. Of those that were missed `skip` begins none, `once` the newest unless
    another begins anyway, `all` each of them.
    """
    newest = trigger.before(now)
    if newest is None or newest <= after:
        return None
    times = list(_back(trigger, newest, after))
    more = len(times) == MOST
    times.reverse()
    fresh = now - newest <= late
    begin = times if policy == "all" else times[-1:] if fresh or policy == "once" else []
    return Due(begin, len(times) - len(begin), newest, more)


def _back(trigger: Trigger, newest: datetime, after: datetime) -> Iterator[datetime]:
    """Yield the times from the newest back to the first one after a time, `MOST` of them."""
    at: datetime | None = newest
    for _ in range(MOST):
        if at is None or at <= after:
            return
        yield at
        at = trigger.before(at - timedelta(seconds=1))
