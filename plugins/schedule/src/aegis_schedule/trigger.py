"""When something is due: by a cron line, once at a time, or again and again after so many seconds. All times are UTC.

A cron line is evaluated in its time zone. Every hour (`*`) follows real time. A line with hours of its own follows the
clocks: what is due in an hour that they skip in spring comes at the end of the gap, and of an hour that they repeat in
autumn only the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from croniter import croniter

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = 5
_RANDOM = re.compile(r"\b[hr]\b", re.IGNORECASE)  # croniter's own letters: another time at each look


class Trigger(Protocol):
    """Says when something is due."""

    def after(self, when: datetime) -> datetime | None:
        """Return the first time it is due after this one, None when it never is again."""

    def before(self, when: datetime) -> datetime | None:
        """Return the last time it was due up to this one, None when it never was."""


class At:
    """Once."""

    def __init__(self, when: datetime) -> None:
        self.when = when

    def after(self, when: datetime) -> datetime | None:
        """Return its time while that is to come."""
        return self.when if self.when > when else None

    def before(self, when: datetime) -> datetime | None:
        """Return its time when that has come."""
        return self.when if self.when <= when else None


class Until:
    """What another says, up to a last time."""

    def __init__(self, trigger: Trigger, last: datetime) -> None:
        self._trigger, self._last = trigger, last

    def after(self, when: datetime) -> datetime | None:
        """Return the next time that is not too late."""
        found = self._trigger.after(when)
        return found if found is not None and found <= self._last else None

    def before(self, when: datetime) -> datetime | None:
        """Return the last time that was not too late."""
        return self._trigger.before(min(when, self._last))


class Every:
    """Again and again, so many seconds apart, counted from a beginning."""

    def __init__(self, seconds: float, beginning: datetime) -> None:
        self._step, self._beginning = timedelta(seconds=seconds), beginning

    def after(self, when: datetime) -> datetime | None:
        """Return the next one."""
        return self._beginning + self._step * max(1, (when - self._beginning) // self._step + 1)

    def before(self, when: datetime) -> datetime | None:
        """Return the last one."""
        count = (when - self._beginning) // self._step
        return self._beginning + self._step * count if count > 0 else None


class Cron:
    """A cron line of five fields, or one of the usual names (`@daily`), in a time zone."""

    def __init__(self, line: str, zone: tzinfo) -> None:
        """Raise `ValueError` with what is wrong with the line."""
        self._line, self._zone = fields_of(line), zone
        self._own_hours = self._line.split()[1] != "*"
        self._known: tuple[datetime | None, datetime | None, datetime | None] = (None, None, None)

    def after(self, when: datetime) -> datetime | None:
        """Return the next time."""
        return self._about(when)[1]

    def before(self, when: datetime) -> datetime | None:
        """Return the last time, this one included."""
        return self._about(when)[0]

    def _about(self, when: datetime) -> tuple[datetime | None, datetime | None]:
        """Return the last and the next time, the same for a whole minute; of many schedules most share a line."""
        from croniter import croniter  # noqa: PLC0415 - its import takes time, and most projects have no schedule

        minute, last, coming = self._known
        if minute != (now := when.replace(second=0, microsecond=0)):
            last = self._first(now + timedelta(seconds=1), croniter.get_prev)
            coming = self._first(now, croniter.get_next)
            self._known = now, last, coming
        return last, coming

    def _first(self, when: datetime, step: Callable[[croniter[datetime]], datetime]) -> datetime | None:
        from croniter import CroniterError, croniter  # noqa: PLC0415 - the same

        try:
            times = croniter(self._line, when.astimezone(self._zone), ret_type=datetime)
            while self._repeated(found := step(times)):
                pass
        except CroniterError:  # the 30th of February
            return None
        return found.astimezone(UTC)

    def _repeated(self, local: datetime) -> bool:
        """Return whether this is the second time that the clocks show an hour for which the line has its own."""
        return bool(self._own_hours and local.fold and local.replace(fold=0).utcoffset() != local.utcoffset())


@lru_cache(maxsize=10_000)
def cron(line: str, zone: str) -> Cron:
    """Return the cron line in the zone, one object for all who use it; raises `ValueError`."""
    return Cron(line, zone_of(zone))


@lru_cache(maxsize=1_000)
def fields_of(line: str) -> str:
    """Return the five fields of a cron line; raises `ValueError` with what is wrong with it."""
    from croniter import CroniterError, croniter  # noqa: PLC0415 - the same

    fields = ALIASES.get(line.strip().lower(), line).split()
    if len(fields) != _FIELDS:
        five = f"five (minute hour day month weekday), or is one of {', '.join(ALIASES)}"
        raise ValueError(f"{line!r} has {len(fields)} fields; a cron line has {five}")
    text = " ".join(fields)
    if _RANDOM.search(text):
        raise ValueError(f"{line!r}: H and R stand for a random time; use `jitter` to spread schedules")
    try:
        croniter(text, datetime(2024, 1, 1, tzinfo=UTC), ret_type=datetime).get_next()
    except (CroniterError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{line!r} is no cron line that is ever due: {error}") from None
    return text


@lru_cache(maxsize=100)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name; raises `ValueError`."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"there is no time zone {name!r}; zones are named like Europe/Berlin, or UTC") from None


def time_of(text: str, zone: tzinfo) -> datetime:
    """Return the moment that an ISO time says; without an offset it is one of the zone. Raises `ValueError`."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time; say it like 2026-01-05T10:00:00 or 2026-01-05T10:00:00Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
