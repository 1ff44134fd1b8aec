"""When cron lines are due, computed another way: each day's hours and minutes are written out, then put into UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def values(field: str, low: int, high: int) -> set[int]:
    """Return the values that a field of digits, `*`, ranges, steps and lists stands for."""
    found = set[int]()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or (high if step else first)))
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


class SlowCron:
    """A cron line in a zone."""

    def __init__(self, line: str, zone: str) -> None:
        self.fields, self.zone = line.split(), ZoneInfo(zone)
        ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
        self.minutes, self.hours, self.days, self.months, weekdays = (
            values(field, *span) for field, span in zip(self.fields, ranges, strict=True)
        )
        self.weekdays = {day % 7 for day in weekdays}

    def on(self, day: datetime) -> bool:
        """Return whether the line has times on this day."""
        found = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        either = self.fields[2] != "*" and self.fields[4] != "*"
        return day.month in self.months and (any(found) if either else all(found))

    def between(self, begin: datetime, end: datetime) -> list[datetime]:
        """Return every time after the first and up to the second."""
        times = self.by_real_time(begin, end) if self.fields[1] == "*" else self.by_the_clocks(begin, end)
        return sorted({time for time in times if begin < time <= end})

    def by_real_time(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the minutes at which the clocks show one of the line's."""
        at = begin.replace(second=0, microsecond=0)
        while at <= end:
            local = at.astimezone(self.zone)
            if local.minute in self.minutes and self.on(local):
                yield at
            at += MINUTE

    def by_the_clocks(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield when the clocks first show each time of the line, or go over it."""
        day = begin.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) - DAY
        while day <= end.replace(tzinfo=None) + DAY:
            for hour in self.hours if self.on(day) else ():
                for minute in self.minutes:
                    yield self.real(day + hour * HOUR + minute * MINUTE)
            day += DAY

    def real(self, shown: datetime) -> datetime:
        """Return when the clocks first show this, or the end of the gap that it is in."""
        at = shown.replace(tzinfo=self.zone).astimezone(UTC)
        if at.astimezone(self.zone).replace(tzinfo=None) != shown:
            while (at - MINUTE).astimezone(self.zone).replace(tzinfo=None) > shown:
                at -= MINUTE
        return at
