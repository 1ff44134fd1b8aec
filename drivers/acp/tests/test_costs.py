"""What a turn cost, as each agent says it: a total is not taken for a difference, nor a request for a turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis.errors import LaunchError
from aegis.events import SessionStarted, TurnEnded, Usage
from aegis.testing.contract_base import of
from aegis.testing.seats import Seats, turn
from aegis_acp.figures import TOKENS, Figures, tokens_of
from aegis_acp.translate import Translator

Agent = Callable[[str], dict[str, Any]]
REQUEST = Figures(usage="request", helpers=frozenset({"task"}))


def opened(figures: Figures | None = None, paid: float | None = 0.0, *, resumed: bool = False) -> Translator:
    translator = Translator()
    translator.opened(SessionStarted("s1", "m"), paid, figures, resumed=resumed)
    return translator


def ended(translator: Translator, *tools: str, cost: float | None = None, used: int = 9, **answer: Any) -> TurnEnded:
    """Have a turn that uses these tools and is answered so."""
    translator.begin()
    for tool in tools:
        call = {"toolCallId": f"c-{tool}", "title": tool, "rawInput": {"x": 1}, "status": "completed"}
        translator.update({"sessionUpdate": "tool_call", **call})
    if cost is not None:
        money = {"amount": cost, "currency": "USD"}
        translator.update({"sessionUpdate": "usage_update", "used": used, "size": 100, "cost": money})
    return of(TurnEnded, translator.ended({"stopReason": "end_turn"} | answer))[0]


def usage(read: int, wrote: int, **more: int) -> dict[str, Any]:
    return {"usage": {"inputTokens": read, "outputTokens": wrote} | more}


@pytest.mark.parametrize(
    ("total", "told", "unsure"),
    [
        (4_250, (1_000, 3_000, 0, 250), set()),  # each by itself, as OpenCode has it
        (4_200, (1_000, 3_000, 0, 200), set()),  # thoughts are output
        (1_250, (-1, 0, 0, 0), set(TOKENS)),  # more were cached than went in
        (9, (1_000, 3_000, 0, 250), set(TOKENS)),  # it does not add up
        (None, (1_000, 3_000, 0, 250), set()),
    ],
)
def test_the_total_says_what_is_part_of_what(total: int | None, told: tuple[int, ...], unsure: set[str]) -> None:
    said = {"inputTokens": 1_000, "outputTokens": 200, "thoughtTokens": 50, "cachedReadTokens": 3_000}
    tokens, unknown = tokens_of(said | ({} if total is None else {"totalTokens": total}))
    assert unknown == unsure
    if told[0] >= 0:
        assert tuple(tokens.values()) == told


def test_of_qwen_the_cache_is_part_of_the_input_and_the_thoughts_of_the_output() -> None:
    said = {"inputTokens": 4_000, "outputTokens": 200, "thoughtTokens": 50, "cachedReadTokens": 3_000}
    tokens, unknown = tokens_of(said | {"totalTokens": 4_200})
    assert (tokens, unknown) == ({"input": 1_000, "cache_read": 3_000, "cache_write": 0, "output": 200}, set())


def test_the_usage_of_the_last_request_is_that_of_the_turn_only_if_there_was_one() -> None:
    translator = opened(REQUEST)
    one = ended(translator, cost=0.1, **usage(70, 30))
    several = ended(translator, "bash", cost=0.3, **usage(31, 11))
    compacted = ended(translator, cost=0.4, used=2, **usage(70, 30))
    again = ended(translator, cost=0.5, **usage(70, 30))
    assert [(end.usage.unknown, end.cost_usd) for end in (one, several, compacted, again) if end.usage] == [
        ((), 0.1),
        (TOKENS, 0.2),
        (TOKENS, 0.1),
        ((), 0.1),
    ]


def test_what_its_sub_agents_cost_is_on_no_bill() -> None:
    translator = opened(REQUEST)
    end = ended(translator, "task", cost=0.25, **usage(31, 11))
    assert (end.cost_usd, end.models) == (None, {"m": {"cost_usd": 0.25}}), "so much is known"
    assert ended(translator, cost=0.35, **usage(70, 30)).cost_usd == 0.1


def test_of_an_interrupted_turn_only_a_part_is_known() -> None:
    translator = opened()
    end = ended(translator, cost=0.25, **usage(31, 11), stopReason="cancelled")
    assert end.usage and (end.cost_usd, end.usage.unknown) == (None, TOKENS)
    assert end.models == {"m": {"cost_usd": 0.25}}
    assert ended(translator, cost=0.35, **usage(7, 3)).cost_usd == 0.1


def test_a_turn_of_which_nothing_is_said_has_no_zero_tokens() -> None:
    """Codex tells only how full its context is."""
    translator = opened()
    translator.begin()
    translator.update({"sessionUpdate": "usage_update", "used": 9, "size": 100})
    [end] = of(TurnEnded, translator.ended({"stopReason": "end_turn"}))
    assert (end.usage, end.cost_usd) == (Usage(context_used=9, context_size=100, unknown=TOKENS), None)


def test_a_turn_that_says_no_cost_leaves_the_next_one_unknown_too() -> None:
    translator = opened()
    costs = [ended(translator, cost=cost).cost_usd for cost in (0.25, None, 0.75, 0.85)]
    assert costs == [0.25, None, None, 0.1]


def test_what_is_said_after_the_end_of_a_turn_is_not_the_next_ones() -> None:
    translator = opened()
    assert ended(translator).cost_usd is None
    money = {"amount": 0.75, "currency": "USD"}
    translator.update({"sessionUpdate": "usage_update", "used": 9, "size": 100, "cost": money})
    assert ended(translator, cost=0.85).cost_usd == 0.1


def test_a_total_that_became_less_says_nothing() -> None:
    translator = opened()
    assert [ended(translator, cost=cost).cost_usd for cost in (0.5, 0.2, 0.3)] == [0.5, None, 0.1]


@pytest.mark.parametrize(
    ("figures", "paid", "costs"),
    [
        (Figures(), 0.5, [0.25, 0.1]),
        (Figures(), None, [None, 0.1]),
        (Figures(cost="process"), 0.5, [0.75, 0.1]),
        (Figures(cost="process"), None, [0.75, 0.1]),
    ],
)
def test_where_a_total_begins_after_a_resume(figures: Figures, paid: float | None, costs: list[float | None]) -> None:
    translator = opened(figures, paid, resumed=True)
    assert [ended(translator, cost=cost).cost_usd for cost in (0.75, 0.85)] == costs


def test_usage_that_adds_up_in_the_session() -> None:
    fresh, resumed = opened(Figures(usage="session")), opened(Figures(usage="session"), resumed=True)
    told = [[ended(t, **usage(*counts)).usage for counts in ((5, 2), (12, 5), (3, 1))] for t in (fresh, resumed)]
    assert told == [[Usage(5, output=2), Usage(7, output=3), None], [None, Usage(7, output=3), None]]


def test_nobody_says_how_long_a_cache_is_kept() -> None:
    end = ended(opened(), **usage(5, 2, cachedWriteTokens=4, totalTokens=11))
    assert end.usage and (end.usage.cache_write, end.usage.unknown) == (4, ("cache_write_1h",))


COUNTS = """
hello(sessionCapabilities={"resume": {}})
answer(hear(), sessionId=SESSION)
for amount in (0.25, 0.5):
    p = hear()
    update("usage_update", used=9, size=100, cost={"amount": amount, "currency": "USD"})
    if p["params"]["prompt"][0]["text"] == "die":
        sys.exit("gone")
    answer(p, stopReason="end_turn")
hear()
"""


@pytest.mark.parametrize("dies", [False, True])
async def test_what_a_dying_agent_kept_is_not_billed_to_the_next_turn(
    seats: Seats, agent: Agent, tmp_path: Path, dies: bool
) -> None:
    """Nobody knows whether its total has the turn in which it died."""
    folder = tmp_path / "kept"
    async with seats.open(agent(COUNTS), seat_folder=folder) as session:
        first = await turn(session, "one")
        if dies:
            with pytest.raises(LaunchError):
                await turn(session, "die")
    [started, *_] = of(SessionStarted, first)
    again = agent(COUNTS.replace("0.25, 0.5", "0.75, 0.85"))
    async with seats.open(again, seat_folder=folder, resume=started.session_id) as session:
        costs = [of(TurnEnded, await turn(session, words))[0].cost_usd for words in ("two", "three")]
    assert costs == [None if dies else 0.5, 0.1]


async def test_a_profile_says_what_its_agent_counts(seats: Seats, agent: Agent, tmp_path: Path) -> None:
    folder, counts = tmp_path / "kept", {"cost_counts": "process", "usage_counts": "session"}
    async with seats.open(agent(COUNTS) | counts, seat_folder=folder) as session:
        [started, *_] = of(SessionStarted, await turn(session, "one"))
    async with seats.open(agent(COUNTS) | counts, seat_folder=folder, resume=started.session_id) as session:
        assert of(TurnEnded, await turn(session, "two"))[0].cost_usd == 0.25
