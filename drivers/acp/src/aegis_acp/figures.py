"""What the figures of an agent count: the protocol says little of it, and what looks alike is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aegis_jsonrpc.values import count

TOKENS = ("input", "cache_read", "cache_write", "output")
Counts = Literal["turn", "request", "session"]
Lasts = Literal["session", "process"]
_KEYS = {
    "input": "inputTokens",
    "cache_read": "cachedReadTokens",
    "cache_write": "cachedWriteTokens",
    "output": "outputTokens",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """As recordings of the agent show it.

    `usage`, in the answer to a prompt, is of the whole turn, of its last request to a model, or of the session so far.
    `cost` adds up in the session, whichever process that is in, or only in the process. `helpers` are tools whose
    sub-agents are not on the session's bill. The defaults are what the protocol means.
    """

    usage: Counts = "turn"
    cost: Lasts = "session"
    helpers: frozenset[str] = frozenset()


# By the names that agents give themselves; a profile may say otherwise.
KNOWN = {"@agentclientprotocol/claude-agent-acp": Figures(cost="process")}


def tokens_of(usage: Mapping[str, Any]) -> tuple[dict[str, int], set[str]]:
    """Return the tokens of a `usage`, and the names of those that it does not tell apart.

    To some agents what was read from a cache is part of the input, and what was thought of the output; to others not.
    Their total says which.
    """
    said = {name: count(usage.get(key)) for name, key in _KEYS.items()}
    thought, total = count(usage.get("thoughtTokens")), usage.get("totalTokens")
    cached = said["cache_read"] + said["cache_write"]
    apart = said | {"output": said["output"] + thought}
    if type(total) is not int or not (thought or cached):
        return apart, set()
    whole = said["input"] + said["output"]
    fresh = {"input": said["input"] - cached}
    readings = [
        (whole + cached + thought, apart),
        (whole + cached, said),
        (whole + thought, apart | fresh),
        (whole, said | fresh),
    ]
    fitting = [tokens for adds_up, tokens in readings if adds_up == total and tokens["input"] >= 0]
    if not fitting:
        return apart, set(TOKENS)
    return fitting[0], {name for name in TOKENS if any(tokens[name] != fitting[0][name] for tokens in fitting)}
