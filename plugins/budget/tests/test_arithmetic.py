"""Windows, limits and when they let go: the reference's own example, and what is refused."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from aegis_budget.decision import Check, Decision, iso
from aegis_budget.settings import Entries, Entry, number, seconds
from aegis_budget.store import WEEKS
from aegis_budget.tally import Tally

NOON = int(datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp())
entries = TypeAdapter(Entries)


def example() -> Tally:
    tally = Tally()
    for age, usd, tokens in ((60, "9.00", 9), (50, "0.40", 100), (30, "0.50", 100), (5, "0.33", 100)):
        tally.add(NOON - age * 60, Decimal(usd), tokens, WEEKS)
    return tally


def checked(tally: Tally, scope: str = "queue:nightly", **budget: object) -> Check:
    entry = Entry(**budget)
    held = tally.spent(entry.unit, NOON, entry.seconds)
    free = tally.below(entry.unit, entry.limit, NOON, entry.seconds)
    return Check(scope, entry, held, Decimal(0), iso(free) if held >= entry.limit else "")


def test_the_references_example():
    found = Decision(
        [
            checked(example(), usd=1.00, window="1h"),
            checked(example(), output_tokens=250, window="1h"),
            checked(example(), usd=50, window="7d"),
        ]
    )
    assert [str(c.spent) for c in found.checks] == ["1.23", "300", "10.23"], "what is exactly an hour old is out"
    assert [c.allowed for c in found.checks] == [False, False, True]
    assert json.loads(json.dumps(found.rejection("demo"))) == {
        "error": "queue 'nightly' over budget",
        "queue": "nightly",
        "blocked_by": [
            {"constraint": "usd", "limit": "1", "spent": "1.23", "window": "1h", "unblock_at": "2026-01-05T12:10:00Z"},
            {
                "constraint": "output_tokens", "limit": "250", "spent": "300", "window": "1h",
                "unblock_at": "2026-01-05T12:10:00Z",
            },
        ],
        "unblock_at": "2026-01-05T12:10:00Z",
    }  # fmt: skip


def test_the_last_to_unblock_decides():
    found = Decision([checked(example(), usd=1, window="1h"), checked(example(), output_tokens=100, window="1h")])
    assert [c.unblock_at for c in found.blocked_by] == ["2026-01-05T12:10:00Z", "2026-01-05T12:55:00Z"]
    assert found.unblock_at == "2026-01-05T12:55:00Z"


@pytest.mark.parametrize(("spent", "allowed"), [("4.99", True), ("5", False), ("5.01", False)])
def test_spending_equal_to_the_limit_blocks(spent, allowed):
    tally = Tally([(NOON - 60, spent, 0)])
    assert checked(tally, usd=5, window="1h").allowed is allowed


def test_what_is_reserved_counts_and_has_no_time():
    check = Check("project", Entry(usd=1, window="1h"), Decimal("0.4"), Decimal("0.6"))
    found = Decision([check])
    assert not check.allowed
    assert found.rejection("demo")["project"] == "demo"
    assert found.unblock_at == ""
    assert str(check) == "project: $0.40 of $1 in 1h spent and $0.60 reserved, until a turn in flight ends"


@pytest.mark.parametrize(
    ("window", "length"), [("1m", 60), ("90m", 5400), ("24h", 86400), ("7d", 604800), ("2w", 1209600)]
)
def test_windows(window, length):
    assert seconds(window) == length


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"window": "1h"}, "exactly one of"),
        ({"usd": 1, "output_tokens": 1, "window": "1h"}, "exactly one of"),
        ({"usd": 0, "window": "1h"}, "greater than 0"),
        ({"usd": -1, "window": "1h"}, "greater than 0"),
        ({"usd": "nan", "window": "1h"}, "finite"),
        ({"output_tokens": 0, "window": "1h"}, "greater than 0"),
        ({"usd": 1, "window": "1s"}, "not a window"),
        ({"usd": 1, "window": "0h"}, "not a window"),
        ({"usd": 1, "window": "1.5h"}, "not a window"),
        ({"usd": 1, "window": "1H"}, "not a window"),
        ({"usd": 1}, "Field required"),
        ({"usd": 1, "window": "1h", "on_exceed": "ignore"}, "finish"),
        ({"usd": 1, "window": "1h", "limit": 2}, "Extra inputs"),
    ],
)
def test_what_is_no_budget(entry, sentence):
    with pytest.raises(ValidationError, match=sentence):
        entries.validate_python([entry])


@pytest.mark.parametrize("window", ["1h", "60m"])
def test_two_budgets_of_the_same_thing_in_the_same_window_are_one_too_many(window):
    with pytest.raises(ValidationError, match="two budgets of usd"):
        entries.validate_python([{"usd": 1, "window": "1h"}, {"usd": 2, "window": window}])
    assert len(entries.validate_python([{"usd": 1, "window": "1h"}, {"output_tokens": 2, "window": "1h"}])) == 2


def test_a_day_is_exact_and_more_is_kept_by_the_hour():
    tally = Tally()
    for second in range(0, 3 * 86_400, 60):
        tally.add(NOON + second, Decimal("0.01"), 1, WEEKS)
    now = NOON + 3 * 86_400 - 60
    assert tally.spent("usd", now, 86_400) == Decimal("14.40")
    assert tally.spent("output_tokens", now, 7 * 86_400) == 3 * 1440, "nothing is lost"
    late = tally.spent("output_tokens", now, 2 * 86_400)
    assert 2 * 1440 <= late < 2 * 1440 + 60, "and nothing leaves a window too early"
    assert len(tally.slots()) < 1440 + 2 * 24 + 120


def test_what_no_window_reaches_is_forgotten():
    tally = Tally()
    for day in range(100):
        tally.add(NOON + day * 86_400, Decimal(1), 1, WEEKS)
    assert tally.spent("usd", NOON + 99 * 86_400, 9_999 * 604_800) == 35
    assert Tally(tally.slots()).slots() == tally.slots()


@pytest.mark.parametrize(
    ("value", "text"), [("5", "5"), ("0.3", "0.30"), ("0.0675", "0.0675"), ("1E+2", "100"), ("0", "0")]
)
def test_numbers_are_strings_that_people_read(value, text):
    assert number(Decimal(value)) == text
