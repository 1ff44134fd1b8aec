"""What a turn cost, from figures that may be of a turn, of a request, of a session or of a process."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aegis.events import Usage
from aegis_acp.figures import TOKENS, Figures, tokens_of
from aegis_acp.v1 import UsageUpdate
from aegis_jsonrpc.values import amount, count, items, mapping, text

Bill = tuple[Usage | None, float | None, dict[str, Any]]


class Meter:
    """The session's bill: `paid` is what the turns before cost, None when that is not known."""

    def __init__(self) -> None:
        self._figures = Figures()
        self.paid: float | None = 0.0
        self._cost: float | None = None  # of the session or the process
        self._told = self._stale = False
        self._used = self._size = 0
        self._calls: list[tuple[dict[str, int], set[str]]] = []  # of an agent that says them one by one
        self._before: dict[str, int] | None = dict.fromkeys(TOKENS, 0)  # of the session, where usage is its total
        self.compacted = self._shrank = False

    def opened(self, figures: Figures, paid: float | None, *, resumed: bool) -> None:
        """Begin a session; one that is resumed cost so much before, as far as was kept of it."""
        self._figures = figures
        self.paid = 0.0 if figures.cost == "process" else paid
        self._before = None if resumed else self._before

    @property
    def kept(self) -> float | None:
        """What the turns up to now cost, for the next process; None when the last one did not say it."""
        return None if self._stale else self.paid

    def begin(self) -> None:
        """Begin a turn: what was said since the last one ended is of that one, or of nobody's."""
        if self._told:
            self.paid = self._cost
        elif self._stale:
            self.paid = None
        self._told = self._stale = self._shrank = False
        self._calls = []

    def update(self, said: UsageUpdate) -> Usage:
        """Take in what the session cost so far and how full its context is."""
        used = count(said.used)
        if used:  # none is what an interrupted turn says
            self._shrank = self._shrank or used < self._used / 2
            self.compacted = self.compacted or self._shrank
            self._used, self._size = used, count(said.size)
        if said.cost and said.cost.currency == "USD":
            self._cost, self._told = amount(said.cost.amount), True
        return Usage(context_used=self._used, context_size=self._size)

    def call(self, beside: Any) -> None:
        """Take in what one call of the model took, if that is said beside a message."""
        if usage := mapping(mapping(beside).get("usage")):
            self._calls.append(tokens_of(usage))

    def turn(self, answer: dict[str, Any], tools: Collection[str] = (), *, cut: bool = False, model: str = "") -> Bill:
        """Return tokens, dollars and both by model of the turn that used these tools and ended with this answer.

        What is not known is None, or named in `Usage.unknown`; what is by model may be only a part then. Of a turn that
        was `cut` nobody tells what the model's last answer took.
        """
        tokens, unknown = self._tokens(answer, tools)
        quota = mapping(mapping(answer.get("_meta")).get("quota"))
        models = {
            text(entry.get("model")): _counted(entry.get("token_count"))
            for entry in map(mapping, items(quota.get("model_usage")))
        }
        if tokens is None and quota:
            tokens, unknown = dict.fromkeys(TOKENS, 0) | _counted(quota.get("token_count")), set(_UNTOLD)
        unknown |= set(TOKENS) if cut or tokens is None else set()
        unknown |= {"cache_write_1h"} if tokens and tokens["cache_write"] else set()  # the protocol has no word for it
        known = Usage(
            **(tokens or {}), context_used=self._used, context_size=self._size,
            unknown=tuple(name for name in (*TOKENS, "cache_write_1h") if name in unknown),
        )  # fmt: skip
        spent = self._since()
        part: dict[str, Any] = {model: {"cost_usd": spent}} if spent else {}
        whole = not cut and not self._figures.helpers.intersection(tools)
        nothing = tokens is None and not self._used
        return None if nothing else known, spent if whole else None, models if whole else models or part

    def _tokens(self, answer: dict[str, Any], tools: Collection[str]) -> tuple[dict[str, int] | None, set[str]]:
        """Return the tokens of the turn and which of them are not known; None where none were said."""
        usage, calls = mapping(answer.get("usage")), self._calls
        if not usage:
            summed = {name: sum(tokens[name] for tokens, _ in calls) for name in TOKENS}
            return (summed, set().union(*(unsure for _, unsure in calls))) if calls else (None, set())
        tokens, unsure = tokens_of(usage)
        if self._figures.usage == "request" and (tools or self._shrank):
            return tokens, set(TOKENS)
        if self._figures.usage != "session":
            return tokens, unsure
        before, self._before = self._before, tokens
        if before is None or any(tokens[name] < before[name] for name in TOKENS):
            return None, set()  # of which of these the turn is, nobody knows
        return {name: tokens[name] - before[name] for name in TOKENS}, unsure

    def _since(self) -> float | None:
        """Return what was added to the bill in this turn; None when it was not said, or from where is not known."""
        told, self._told = self._told, False
        if not told or self._cost is None:
            self._stale = True
            return None
        before, self.paid = self.paid, self._cost
        if before is None or self._cost < before:  # less than before: it began to count again, nobody knows when
            return None
        return round(self._cost - before, 9)


# Gemini CLI adds what was read from a cache to the input, and leaves out what was thought.
_UNTOLD = ("input", "cache_read", "output")


def _counted(said: Any) -> dict[str, int]:
    counted = mapping(said)
    return {"input": count(counted.get("input_tokens")), "output": count(counted.get("output_tokens"))}
