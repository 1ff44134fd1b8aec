"""What a turn cost: tokens as the agent counts them, dollars as the difference of what it says the session cost."""

from __future__ import annotations

from typing import Any

from aegis.events import Usage
from aegis_acp.v1 import UsageUpdate
from aegis_jsonrpc.values import amount, count, items, mapping, text

_TOKENS = {
    "input": "inputTokens",
    "cache_read": "cachedReadTokens",
    "cache_write": "cachedWriteTokens",
    "output": "outputTokens",
}


class Meter:
    """The session's bill: `paid` is what the turns before cost, None when that is not known."""

    def __init__(self) -> None:
        self.paid: float | None = 0.0
        self._cost: float | None = None  # of the session
        self._used = self._size = 0
        self._calls: dict[str, int] = {}  # tokens of the turn's model calls, of an agent that says them one by one
        self.compacted = False

    def update(self, said: UsageUpdate) -> Usage:
        """Take in what the session cost so far and how full its context is."""
        used = count(said.used)
        if used:  # none is what an interrupted turn says
            self.compacted = self.compacted or used < self._used / 2
            self._used, self._size = used, count(said.size)
        if said.cost and said.cost.currency == "USD":
            self._cost = amount(said.cost.amount)
        return Usage(context_used=self._used, context_size=self._size)

    def call(self, beside: Any) -> None:
        """Take in what one call of the model took, if that is said beside a message."""
        usage = mapping(mapping(beside).get("usage"))
        self._calls = {key: count(usage.get(key)) + self._calls.get(key, 0) for key in usage} if usage else self._calls

    def turn(self, answer: dict[str, Any]) -> tuple[Usage | None, float | None, dict[str, Any]]:
        """Return tokens, dollars and tokens by model, as far as known, of the turn that ended with this answer."""
        quota = mapping(mapping(answer.get("_meta")).get("quota"))
        usage, self._calls = mapping(answer.get("usage")) or self._calls, {}
        tokens = {name: count(usage.get(key)) for name, key in _TOKENS.items()}
        tokens["output"] += count(usage.get("thoughtTokens"))
        if not usage:
            tokens |= _counted(quota.get("token_count"))
        models = {
            text(entry.get("model")): _counted(entry.get("token_count"))
            for entry in map(mapping, items(quota.get("model_usage")))
        }
        known = Usage(**tokens, context_used=self._used, context_size=self._size)
        return known if known != Usage() else None, self._since(), models

    def _since(self) -> float | None:
        cost, paid = self._cost, self.paid
        if cost is None:
            return None
        self.paid = cost
        if paid is None:
            return None
        return round(cost - paid if cost >= paid else cost, 9)  # less than before: it began to count from zero again


def _counted(said: Any) -> dict[str, int]:
    counted = mapping(said)
    return {"input": count(counted.get("input_tokens")), "output": count(counted.get("output_tokens"))}
