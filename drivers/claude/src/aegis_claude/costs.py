"""What a turn cost: what the CLI counted since the last turn ended, whichever process of it counted that."""

from __future__ import annotations

from typing import Any

from aegis.events import Usage
from aegis_jsonrpc.values import amount, count, mapping, text

_NAMES = {
    "input": "inputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheCreationInputTokens",
    "cache_write_1h": "cacheCreationEphemeral1hInputTokens",
    "output": "outputTokens",
}
_WIRE = {
    "input": "input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
    "output": "output_tokens",
}
_SINCE = "model_usage_since_last_result"  # older releases do not say it
Spent = dict[str, dict[str, float]]  # by model: tokens and `cost_usd`


class Meter:
    """What was spent since the last turn ended.

    Two figures of a result look alike: `modelUsage` is a total that goes on where a resumed conversation was, and
    `model_usage_since_last_result` is what came since the line before. A killed CLI forgets what it had not kept of its
    total. So the difference of two totals counts only in one process, and the first one there is only where the
    conversation is new.
    """

    def __init__(self, *, resumed: bool = False) -> None:
        self._totals: Spent | None = None if resumed else {}
        self._spent: Spent = {}
        self._whole = self._priced = True

    def hear(self, result: dict[str, Any]) -> None:
        """Take in what a result says was spent, whoever began its turn: what nobody began falls to the next one."""
        told = result.get("modelUsage")
        totals = _said(told) if type(told) is dict else None
        if type(result.get(_SINCE)) is dict:
            spent: Spent | None = _said(result[_SINCE])
            unpriced = [said for said in map(mapping, result[_SINCE].values()) if said.get("costBasis") == "unknown"]
            self._priced = self._priced and not unpriced
        else:
            spent = None if self._totals is None or totals is None else _difference(self._totals, totals)
        self._totals = totals
        self._whole = self._whole and spent is not None
        for model, counted in (spent or {}).items():
            known = self._spent.setdefault(model, dict.fromkeys(counted, 0.0))
            for name, figure in counted.items():
                known[name] += figure

    def turn(
        self, result: dict[str, Any], last: dict[str, Any], *, cut: bool = False
    ) -> tuple[Usage, float | None, dict[str, Any]]:
        """Return tokens, dollars and both by model of the turn that ends with this result.

        `last` is the last message of the main agent. Sub-agents are counted. What a model wrote of an answer that was
        `cut` is billed, and nobody tells how much it was.
        """
        self.hear(result)
        spent = {model: counted for model, counted in self._spent.items() if any(counted.values())}
        whole, priced, self._spent, self._whole, self._priced = self._whole, self._priced, {}, True, True
        tokens = {name: int(sum(counted[name] for counted in spent.values())) for name in _NAMES}
        unknown: tuple[str, ...] = ("output",) if cut else ()
        if not whole:  # what the main agent used in this turn is at least a part of it
            usage = mapping(result.get("usage"))
            tokens = tokens | {name: max(tokens[name], count(usage.get(key))) for name, key in _WIRE.items()}
            unknown = tuple(_WIRE)
        cost = round(sum((counted["cost_usd"] for counted in spent.values()), 0.0), 9)
        used = sum(count(mapping(last.get("usage")).get(key)) for key in _WIRE.values())
        model = mapping(mapping(result.get("modelUsage")).get(text(last.get("model"))))
        size = count(model.get("contextWindow"))
        models = {model: _shown(counted) for model, counted in spent.items()}
        known = Usage(**tokens, context_used=used, context_size=size, unknown=unknown)
        return known, cost if whole and priced and not cut else None, models


def _said(models: Any) -> Spent:
    """Return what the CLI says of each model."""
    return {
        model: {name: float(count(mapping(said).get(key))) for name, key in _NAMES.items()}
        | {"cost_usd": amount(mapping(said).get("costUSD")) or 0.0}
        for model, said in mapping(models).items()
    }


def _difference(before: Spent, now: Spent) -> Spent | None:
    """Return what was added to the totals; None when that is not known because one of them became less."""
    nothing: dict[str, float] = {}
    added = {
        model: {name: round(total - before.get(model, nothing).get(name, 0.0), 9) for name, total in totals.items()}
        for model, totals in now.items()
    }
    less = before.keys() - now.keys() or any(figure < 0 for counted in added.values() for figure in counted.values())
    return None if less else added


def _shown(counted: dict[str, float]) -> dict[str, Any]:
    shown = {name: round(figure, 9) if name == "cost_usd" else int(figure) for name, figure in counted.items()}
    return {name: figure for name, figure in shown.items() if figure or name != "cache_write_1h"}
