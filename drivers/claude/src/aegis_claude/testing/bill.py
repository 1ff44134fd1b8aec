"""What a fake's turns cost, in Claude Code's words: tokens of the turn, totals of the process."""

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
}


class Bill:
    """Counts from the start of the process, as the real one does."""

    def __init__(self) -> None:
        self._total: dict[str, float] = {}
        self._cost = 0.0

    def turn(self, model: str, spent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figures of a `result` line after a turn that spent this."""
        for name in _TOTAL:
            self._total[name] = self._total.get(name, 0) + spent.get(name, 0)
        self._cost += spent.get("cost", 0)
        totals = {wire: self._total[name] for name, wire in _TOTAL.items()}
        by_model = totals | {"costUSD": self._cost, "contextWindow": 200_000}
        return {
            "usage": usage(spent),
            "modelUsage": {model: by_model} if any(totals.values()) or self._cost else {},
            "total_cost_usd": self._cost,
        }


def usage(spent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens as a message's `usage`."""
    return {wire: spent.get(name, 0) for name, wire in _TURN.items()}
