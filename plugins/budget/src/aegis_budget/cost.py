"""What a turn cost: the provider's own figure first, else the price of its tokens, which is an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aegis.events import TurnEnded, Usage
from aegis_budget.prices import Prices, price_of

_TOKENS = ("input", "cache_read", "cache_write", "output")
_PARTS = (*_TOKENS, "cache_write_1h")
_UNSURE = {"cache_write_1h"}  # a price for all that it may be is an estimate, and not unknown


@dataclass(frozen=True, slots=True)
class Cost:
    """What a turn used; None is what nobody knows, and then the last two are what is known of it."""

    usd: Decimal | None
    output_tokens: int | None
    estimate: bool
    part_usd: Decimal = field(default=Decimal(0), compare=False)
    part_output: int = field(default=0, compare=False)


def cost_of(ended: TurnEnded, provider: str, model: str, prices: Prices) -> Cost:
    """Return what a turn cost, however it ended.

    A figure of zero beside tokens that have a price is not believed: some CLIs say zero where they know no price.
    """
    usage = ended.usage if ended.usage and (_counts(ended.usage) or ended.usage.unknown) else None
    said = None if ended.cost_usd is None else Decimal(str(ended.cost_usd))
    unknown = set(usage.unknown) if usage else set()
    output = usage.output if usage and "output" not in unknown else None
    if usage is None and said == 0:
        output = 0
    listed = _listed(usage, ended.models, provider, model, prices) if usage else _free(provider, model, prices)
    part = _part(ended.models, listed), usage.output if usage else 0
    if said is not None and (said > 0 or not listed):
        return Cost(said, output, False, *part)
    if unknown - _UNSURE:
        listed = _free(provider, model, prices)
    return Cost(listed, output, True, *part)


def _part(models: Mapping[str, Any], listed: Decimal | None) -> Decimal:
    """Return the dollars that are known of a turn: what was said by model, or the price of the tokens that were."""
    said = [entry.get("cost_usd") for entry in models.values() if isinstance(entry, Mapping)]
    return max(sum((Decimal(str(usd)) for usd in said if usd), Decimal(0)), listed or Decimal(0))


def _free(provider: str, model: str, prices: Prices) -> Decimal | None:
    """Return nothing for whatever was used of a model that costs nothing."""
    price = prices.find(provider, model)
    return Decimal(0) if price and not (price.input or price.output) else None


def _counts(usage: Usage) -> bool:
    return any(getattr(usage, name) for name in _TOKENS)


def _listed(usage: Usage, models: Mapping[str, Any], provider: str, model: str, prices: Prices) -> Decimal | None:
    """Return the list price of the tokens, by model where they are told apart; None when one has no price."""
    parts = {name: _usage(said, usage.unknown) for name, said in models.items()}
    told = [sum(getattr(part, name) for part in parts.values()) for name in _TOKENS]
    if told != [getattr(usage, name) for name in _TOKENS] or not all(map(_counts, parts.values())):
        parts = {model: usage}  # they do not tell all
    total = Decimal(0)
    for name, part in parts.items():
        price = prices.find(provider, name)
        if price is None:
            return None
        total += price_of(part, price)
    return total


def _usage(said: Any, unknown: tuple[str, ...]) -> Usage:
    counts = {name: said.get(name, 0) for name in _PARTS} if isinstance(said, Mapping) else {}
    return Usage(**{name: count for name, count in counts.items() if isinstance(count, int)}, unknown=unknown)
