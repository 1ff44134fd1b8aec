"""By how much a budget may be passed at worst: what the turns in flight can still spend before they are stopped."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from aegis import Driver
from aegis_budget.prices import largest_request, says_usage
from aegis_budget.settings import Entry, Price, amount, number
from aegis_budget.store import Account

_REQUESTS = 2  # the one that passes the limit, and the one that began before the interrupt arrived


class Overshoot(msgspec.Struct, frozen=True):
    """The most by which one budget may be passed, as a number, or `unbounded`, and why."""

    scope: str
    constraint: str
    limit: str
    window: str
    most: str
    why: str

    def __str__(self) -> str:
        return f"{self.scope} may be passed by {self.why}"


def steps(driver: Driver, price: Price | None) -> tuple[Decimal | None, Decimal | None]:
    """Return the dollars and output tokens of a turn after it should have been stopped; None where nothing limits them.

    They are known where the provider says what each request of a turn used, and how large a request may be.
    """
    if price is None or not says_usage(driver):
        return None, None
    usd = largest_request(price)
    tokens = None if price.max_output is None else Decimal(_REQUESTS * price.max_output)
    return None if usd is None else _REQUESTS * usd, tokens


def overshoot(account: Account, scope: str, entry: Entry) -> Overshoot:
    """Return by how much the turns now in flight may pass a budget at worst."""
    held = account.holds(scope)
    each = [_of_one(entry, one.step(entry.unit)) for one in held]
    turns = f"the {len(held)} turns" if len(held) > 1 else "the turn"
    which = (scope, entry.unit, number(entry.limit), entry.window)
    if any(most is None for most in each):
        why = f"any amount: nothing limits {turns} in flight; `turn_most` in this budget would, by your word"
        return Overshoot(*which, "unbounded", why)
    total = sum((most for most in each if most is not None), Decimal(0))
    return Overshoot(*which, number(total), f"{amount(entry.unit, total)} at most, by {turns} in flight")


def _of_one(entry: Entry, step: Decimal | None) -> Decimal | None:
    if entry.on_exceed == "finish" or step is None:
        return entry.turn_most
    return step if entry.turn_most is None else min(step, entry.turn_most)
