"""What a turn cost. The CLI counts from its own start; a turn is what was added since the last one ended."""

from __future__ import annotations

from typing import Any

from aegis.events import Usage
from aegis_jsonrpc.values import amount, count, mapping, text

_NAMES = {
    "input": "inputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheCreationInputTokens",
    "output": "outputTokens",
}
_WIRE = {
    "input": "input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
    "output": "output_tokens",
}


class Meter:
    """The totals of the CLI's process when the last turn ended."""

    def __init__(self) -> None:
        self._cost = 0.0
        self._models: dict[str, dict[str, float]] = {}

    def turn(self, result: dict[str, Any], last: dict[str, Any]) -> tuple[Usage, float, dict[str, Any]]:
        """Return tokens, dollars and both by model since the last turn; `last` is the last message of the main agent.

        Sub-agents are counted. What the CLI spent on its own between two turns falls to the later one.
        """
        models = self._by_model(mapping(result.get("modelUsage")))
        cost = self._since(self._cost, total := amount(result.get("total_cost_usd")) or 0.0)
        self._cost = total
        if models:
            tokens = {name: sum(int(spent[name]) for spent in models.values()) for name in _NAMES}
        else:
            tokens = {name: count(mapping(result.get("usage")).get(key)) for name, key in _WIRE.items()}
        used = sum(count(mapping(last.get("usage")).get(key)) for key in _WIRE.values())
        model = mapping(mapping(result.get("modelUsage")).get(text(last.get("model"))))
        return Usage(**tokens, context_used=used, context_size=count(model.get("contextWindow"))), cost, models

    def _by_model(self, totals: dict[str, Any]) -> dict[str, Any]:
        turn: dict[str, Any] = {}
        for model, said in totals.items():
            now = {name: float(count(mapping(said).get(key))) for name, key in _NAMES.items()}
            now["cost_usd"] = amount(mapping(said).get("costUSD")) or 0.0
            before = self._models.get(model, {})
            spent = {name: self._since(before.get(name, 0.0), total) for name, total in now.items()}
            self._models[model] = now
            if any(spent.values()):
                turn[model] = {name: spent[name] if name == "cost_usd" else int(spent[name]) for name in spent}
        return turn

    @staticmethod
    def _since(before: float, now: float) -> float:
        spent = now - before if now >= before else now  # less than before: the CLI began to count from zero again
        return round(spent, 9)
