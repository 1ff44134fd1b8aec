"""What the scripted model bills, beside what aegis books: prices that are known, and a scene for each way to spend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from model_server import Block, Model, Rule, text, thinking, tool_use

from aegis.events import TurnEnded

# Dollars for a million tokens: input, read from a cache, written for five minutes, written for an hour, output.
SONNET, OPUS, HAIKU = (3, 0.3, 3.75, 6, 15), (5, 0.5, 6.25, 10, 25), (0.1, 0.01, 0.125, 0.2, 0.5)
PRICES = {
    "claude-sonnet-4-5": SONNET,
    "claude-opus-4-5": OPUS,
    "claude-haiku-5-5": HAIKU,
    "scripted": (3, 0.3, 3.75, 3.75, 15),
}
UNKNOWN = "unknown"
Booked = tuple[Any, Any, Any, Any]  # dollars, input, output, cached


@dataclass(frozen=True)
class Tools:
    """How the model calls the tools of one CLI."""

    shell: Callable[[str], Block]
    helper: Block | None = None  # a sub-agent whose job is "inner job"


def billed(model: Model) -> Booked:
    """Return the bill of all answers since the script was set."""
    bill, dollars = model.bill(), 0.0
    for answer in bill:
        usage = answer["usage"]
        hour = usage.get("cache_creation", {}).get("ephemeral_1h_input_tokens", 0)
        written = usage.get("cache_creation_input_tokens", 0) - hour
        counts = (usage["input_tokens"], usage.get("cache_read_input_tokens", 0), written, hour, usage["output_tokens"])
        price = PRICES.get(answer["model"], SONNET)
        dollars += sum(count * each for count, each in zip(counts, price, strict=True)) / 1e6
    return round(dollars, 9), _sum(bill, "input"), _sum(bill, "output"), _sum(bill, "cache_read_input")


def _sum(bill: list[dict[str, Any]], what: str) -> int:
    return sum(answer["usage"].get(f"{what}_tokens", 0) for answer in bill)


def booked(end: TurnEnded) -> Booked:
    """Return what aegis says of the turn, `unknown` where it says so."""
    usage = end.usage
    told = [
        UNKNOWN if usage is None or name in usage.unknown else getattr(usage, name)
        for name in ("input", "output", "cache_read")
    ]
    return (UNKNOWN if end.cost_usd is None else round(end.cost_usd, 9), *told)  # type: ignore[return-value]


def scenes(tools: Tools) -> list[Rule]:
    """Return what the model says, and what that takes: each answer something else."""
    one = {
        "input_tokens": 1_000, "output_tokens": 200, "thinking_tokens": 50, "cache_read_input_tokens": 3_000,
        "cache_creation_input_tokens": 500,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    }  # fmt: skip
    plain = _took(70, 30) | {"cache_read_input_tokens": 3_000}  # a context that shrinks was compacted
    helper = tools.helper or text("there are no helpers here")
    rules: list[Rule] = [
        {"when": r"(?m)^(?:  )?one$", "say": [thinking("hm"), text("1")], "usage": one},
        {"when": r"(?m)^(?:  )?plain$", "say": "2", "usage": plain},
        {"when": r"(?m)^(?:  )?tool$", "say": [tools.shell("echo tool")], "usage": _took(11, 5)},
        {"when": r"(?m)^(?:  )?hang$", "say": "begun", "hang": True, "usage": _took(17, 7)},
        {"when": r"(?m)^(?:  )?wait$", "say": [tools.shell("echo more")], "usage": _took(1_100, 500)},
        {"on": "tool_result", "when": r"\bmore\b", "say": [tools.shell("tail -f /dev/null")], "usage": _took(13, 6)},
        {"when": "inner job", "say": [tools.shell("echo inner")], "usage": _took(19, 8)},
        {"on": "tool_result", "when": r"\binner\s*\Z", "say": "the inner reply", "usage": _took(23, 9)},
        {"when": r"(?m)^(?:  )?help$", "say": [helper], "usage": _took(29, 10)},
        {"when": "(?i)summar", "say": "<summary>short</summary>", "usage": _took(37, 12)},
        {"on": "tool_result", "say": "done", "usage": _took(31, 11)},
    ]
    return [{"on": "user"} | rule for rule in rules]


def _took(read: int, wrote: int) -> dict[str, int]:
    return {"input_tokens": read, "output_tokens": wrote}


CLAUDE = Tools(
    lambda words: tool_use("Bash", command=words, description=""),
    tool_use("Agent", description="look", prompt="inner job", subagent_type="general-purpose", model="haiku"),
)
GEMINI = Tools(lambda words: tool_use("run_shell_command", command=words, description=""))
OPENCODE = Tools(
    lambda words: tool_use("bash", command=words, description="x"),
    tool_use("task", description="look", prompt="inner job", subagent_type="general"),
)
