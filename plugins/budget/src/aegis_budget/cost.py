"""What a turn cost: the provider's own figure first, else the price of its tokens, which is an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aegis.events import TurnEnded, Usage
from aegis_budget.prices import Prices, price_of

_TOKENS = ("input", "cache_read", "cache_write", "output")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a turn used; None is what nobody knows."""

    usd: Decimal | None
    output_tokens: int | None
    estimate: bool


def cost_of(ended: TurnEnded, provider: str, model: str, prices: Prices) -> Cost:
    """Return what a turn cost, however it ended.

    A figure of zero beside tokens that have a price is not believed: some CLIs say zero where they know no price.
    """
    usage = ended.usage if ended.usage and _counts(ended.usage) else None
    said = None if ended.cost_usd is None else Decimal(str(ended.cost_usd))
    output = usage.output if usage else 0 if said is not None else None
    listed = _listed(usage, ended.models, provider, model, prices) if usage else _free(provider, model, prices)
    if said is not None and (said > 0 or not listed):
        return Cost(said, output, estimate=False)
    return Cost(listed, output, estimate=True)


def _free(provider: str, model: str, prices: Prices) -> Decimal | None:
    """Return nothing for whatever was used of a model that costs nothing."""
    price = prices.find(provider, model)
    return Decimal(0) if price and not (price.input or price.output) else None


def _counts(usage: Usage) -> bool:
    return any(getattr(usage, name) for name in _TOKENS)


def _listed(usage: Usage, models: Mapping[str, Any], provider: str, model: str, prices: Prices) -> Decimal | None:
    """Return the list price of the tokens, by model where they are told apart; None when one has no price."""
    parts = {name: _usage(said) for name, said in models.items()}
    if sum(part.output for part in parts.values()) != usage.output or not all(map(_counts, parts.values())):
        parts = {model: usage}  # they do not tell all
    total = Decimal(0)
    for name, part in parts.items():
        price = prices.find(provider, name)
        if price is None:
            return None
        total += price_of(part, price)
    return total


def _usage(said: Any) -> Usage:
    counts = {name: said.get(name, 0) for name in _TOKENS} if isinstance(said, Mapping) else {}
    return Usage(**{name: count for name, count in counts.items() if isinstance(count, int)})
