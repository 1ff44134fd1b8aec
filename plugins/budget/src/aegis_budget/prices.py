"""What models cost: the table in this package, and what `budgets.prices` adds to it or puts in its place."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from aegis import Driver
from aegis.driver import info_of
from aegis.events import Usage
from aegis_budget.settings import BudgetsSettings, Price, PriceList

MILLION = Decimal(1_000_000)
_DATED = re.compile(r"(-\d{8}|-\d{4}-\d{2}-\d{2}|@\d{8}|-latest)\Z")


@lru_cache(1)
def price_list() -> PriceList:
    """Return the packaged table."""
    return PriceList.model_validate_json(Path(__file__).with_name("prices.json").read_bytes())


class Prices:
    """Every price there is, for one state of the configuration."""

    def __init__(self, settings: BudgetsSettings) -> None:
        self._own = settings.prices
        rate = settings.unpriced
        self._rest = Price(input=rate, output=rate, source="budgets.unpriced") if isinstance(rate, Decimal) else None

    def find(self, provider: str, model: str) -> Price | None:
        """Return the price of a model at a provider, None when nobody knows it."""
        own, theirs = self._own.get(provider, {}), price_list().providers.get(provider, {})
        for name in _names(model):
            if name in own:
                return own[name]
        if "*" in own:
            return own["*"]
        for name in _names(model):
            if found := theirs.get(name) or price_list().models.get(name):
                return found
        return theirs.get("*", self._rest)


def _names(model: str) -> list[str]:
    """Return what a model may be called in a table: as it is, without its vendor, without its date."""
    bare = model.rpartition("/")[2]
    return [name for name in dict.fromkeys((model, bare, _DATED.sub("", bare))) if name]


def price_of(usage: Usage, price: Price) -> Decimal:
    """Return the dollars of these tokens; each token is billed once, as what it was, and as the dearest it may be."""
    read, write = _or(price.cache_read, price.input), _or(price.cache_write, price.input)
    hour = _or(price.cache_write_1h, write)
    kept = usage.cache_write if "cache_write_1h" in usage.unknown else usage.cache_write_1h
    written = kept * max(hour, write) + (usage.cache_write - kept) * write
    fresh = usage.input * price.input + usage.output * price.output
    return (fresh + usage.cache_read * read + written) / MILLION


def _or(price: Decimal | None, usual: Decimal) -> Decimal:
    return usual if price is None else price


def largest_request(price: Price) -> Decimal | None:
    """Return the dollars of the largest request a model takes, None when its sizes are not known."""
    if price.context is None or price.max_output is None:
        return None
    ways = (price.input, price.cache_read, price.cache_write, price.cache_write_1h)
    dearest = max(p for p in ways if p is not None)
    return (price.context * dearest + price.max_output * price.output) / MILLION


def says_costs(driver: Driver) -> bool:
    """Return whether a provider says what its turns cost."""
    return info_of(driver).costs


def says_usage(driver: Driver) -> bool:
    """Return whether a provider says after each request of a turn how many tokens the turn has used."""
    return info_of(driver).meters
