"""What a fake's turns cost, in Claude Code's words: tokens of the turn, and totals that a resume goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TURN = {
    "input": "input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
    "output": "output_tokens",
}
_TOTAL = {
    "input": "inputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheCreationInputTokens",
    "output": "outputTokens",
    "cost": "costUSD",
}


class Bill:
    """Counts by model from the start of the conversation, as the real one does; `totals` is what it keeps."""

    def __init__(self, totals: Mapping[str, Mapping[str, float]]) -> None:
        self.totals = {model: dict(counted) for model, counted in totals.items()}

    def turn(self, model: str, spent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figures of a `result` line after a turn that spent this."""
        now = {wire: spent.get(name, 0) for name, wire in _TOTAL.items()}
        if any(now.values()):
            before = self.totals.get(model, {})
            self.totals[model] = {wire: before.get(wire, 0) + figure for wire, figure in now.items()}
        shown = {name: counted | {"contextWindow": 200_000} for name, counted in self.totals.items()}
        return {
            "usage": usage(spent),
            "modelUsage": shown,
            "model_usage_since_last_result": {model: now | {"costBasis": "list"}} if any(now.values()) else {},
            "total_cost_usd": sum(counted["costUSD"] for counted in self.totals.values()),
        }


def usage(spent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens as a message's `usage`."""
    return {wire: spent.get(name, 0) for name, wire in _TURN.items()}
