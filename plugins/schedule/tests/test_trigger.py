"""When cron lines, times and intervals are due."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from slow_cron import SlowCron

from aegis_schedule.trigger import At, Cron, Every, cron, fields_of, time_of, zone_of

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"]
LINES = [
    "30 2 * * *", "30 1 * * *", "0 0 * * *", "15,45 2 * * *", "0 1,2,3 * * *", "*/30 2 * * *", "0 */6 * * *",
    "0 9-17/2 * * 1-5", "59 23 31 * *", "0 12 13 * 5", "0 0 29 2 *", "10 0-3 * 3,11 *",
]  # fmt: skip
CHANGES = [datetime(2026, *day, tzinfo=UTC) for day in ((3, 8), (3, 29), (4, 5), (10, 4), (10, 25), (11, 1))]
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def all_of(trigger: Cron, begin: datetime, end: datetime) -> list[datetime]:
    found, at = list[datetime](), trigger.after(begin)
    while at is not None and at <= end:
        found.append(at)
        at = trigger.after(at)
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("line", LINES)
def test_a_year_by_the_clocks(line: str, zone: str) -> None:
    found = all_of(cron(line, zone), *NEW_YEAR)
    assert found == SlowCron(line, zone).between(*NEW_YEAR)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("line", ["*/30 * * * *", "7 * * * *", "0 * 1-8 * *"])
def test_every_hour_follows_real_time(line: str, zone: str) -> None:
    for change in CHANGES:
        days = change - timedelta(days=1), change + timedelta(days=2)
        assert all_of(cron(line, zone), *days) == SlowCron(line, zone).between(*days)


@pytest.mark.parametrize("zone", ZONES)
def test_the_way_back_is_the_way_there(zone: str) -> None:
    for line in (*LINES, "*/30 * * * *"):
        trigger = cron(line, zone)
        for change in CHANGES:
            found = all_of(trigger, change - timedelta(days=2), change + timedelta(days=2))
            for early, late in pairwise(found):
                assert trigger.before(late) == late
                assert trigger.before(late - timedelta(seconds=1)) == early


def test_any_lines() -> None:
    dice = random.Random(7)
    for _ in range(150):
        day, weekday = dice.choice(["*", "1", "15", "28"]), dice.choice("**0123456")
        line = f"{dice.randrange(60)} {dice.randrange(24)} {day} * {weekday}"
        zone = dice.choice(ZONES)
        assert all_of(cron(line, zone), *NEW_YEAR) == SlowCron(line, zone).between(*NEW_YEAR), (line, zone)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("* * * *", "has 4 fields; a cron line has five"),
        ("0 0 * * * *", "has 6 fields"),
        ("61 * * * *", "out of range"),
        ("0 0 30 2 *", "ever due"),
        ("@reboot", "is one of @yearly"),
        ("R * * * *", "use `jitter`"),
        ("H(0-29) * * * *", "use `jitter`"),
        ("", "has 0 fields"),
        ("1-5/0 * * * *", "step"),
    ],
)
def test_a_wrong_line_gets_a_sentence(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"cron line|jitter") as error:
        fields_of(line)
    assert says in str(error.value)


def test_names_are_taken() -> None:
    assert fields_of("@daily") == "0 0 * * *"
    assert fields_of("0 9 * MAR mon-fri") == "0 9 * MAR mon-fri"


def test_a_zone_that_is_none_gets_a_sentence() -> None:
    for name in ("Mars/Base", "", "../etc/passwd", "/etc/localtime", "\0"):
        with pytest.raises(ValueError, match="there is no time zone"):
            zone_of(name)


def test_a_time_without_an_offset_is_one_of_the_zone() -> None:
    assert time_of("2026-07-01T10:00", zone_of("Europe/Berlin")) == datetime(2026, 7, 1, 8, tzinfo=UTC)
    assert time_of("2026-07-01T10:00Z", zone_of("Europe/Berlin")) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    with pytest.raises(ValueError, match="'tomorrow' is no time"):
        time_of("tomorrow", UTC)


def test_once_and_again() -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    once, again, second = At(at), Every(90, at), timedelta(seconds=1)
    assert (once.after(at - second), once.after(at), once.before(at), once.before(at - second)) == (at, None, at, None)
    assert again.after(at) == at + 90 * second
    assert again.after(at - timedelta(days=1)) == at + 90 * second
    assert again.before(at + 89 * second) is None
    assert again.before(at + 181 * second) == at + 180 * second
    assert again.after(at + 180 * second) == at + 270 * second
