"""What a turn cost, as each provider says it."""

from decimal import Decimal

import pytest

from aegis.events import TurnEnded, Usage
from aegis_budget.cost import Cost, cost_of
from aegis_budget.prices import Prices, largest_request, price_list
from aegis_budget.settings import BudgetsSettings

NONE = Prices(BudgetsSettings())


def prices(**section: object) -> Prices:
    return Prices(BudgetsSettings.model_validate(section))


def cost(provider: str, model: str, table: Prices = NONE, outcome: str = "completed", **turn: object) -> Cost:
    return cost_of(TurnEnded(outcome, **turn), provider, model, table)


def test_the_providers_own_figure_comes_first():
    said = cost("claude-code", "claude-opus-4-5", usage=Usage(1_000, output=500), cost_usd=0.25)
    assert said == Cost(Decimal("0.25"), 500, estimate=False)


def test_cached_tokens_are_billed_once():
    usage = Usage(1_000, cache_read=100_000, output=500)
    assert cost("gemini", "claude-opus-4-5", usage=usage) == Cost(Decimal("0.0675"), 500, estimate=True)


def test_each_kind_of_token_has_its_price():
    mine = {"till": {"m": {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4}}}
    usage = Usage(1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
    assert cost("till", "m", prices(prices=mine), usage=usage).usd == 1 + 30 + 400 + 2_000
    plain = {"till": {"m": {"input": 1, "output": 2}}}
    assert cost("till", "m", prices(prices=plain), usage=usage).usd == 1 + 10 + 100 + 2_000, "cached input is input"


@pytest.mark.parametrize("outcome", ["completed", "cancelled", "refused", "truncated", "failed", "interrupted"])
def test_a_turn_counts_what_it_used_however_it_ended(outcome):
    turn = cost("gemini", "gemini-2.5-flash", outcome=outcome, usage=Usage(1_000_000, output=1_000_000))
    assert turn == Cost(Decimal("2.80"), 1_000_000, estimate=True)


def test_gemini_says_tokens_by_model_and_no_costs():
    models = {
        "gemini-2.5-flash": {"input": 1_000_000, "output": 100_000},
        "gemini-2.5-pro": {"input": 0, "output": 100_000},
    }
    turn = cost("gemini", "gemini-2.5-pro", usage=Usage(1_000_000, output=200_000), models=models)
    assert turn.usd == Decimal("0.30") + Decimal("0.25") + Decimal("1.50")
    short = cost("gemini", "gemini-2.5-pro", usage=Usage(0, output=300_000), models=models)
    assert short.usd == Decimal("4.50"), "models that do not tell all are not believed"


def test_one_model_without_a_price_makes_the_whole_unknown():
    models = {"gemini-2.5-flash": {"input": 1, "output": 1}, "new": {"input": 1, "output": 1}}
    assert cost("gemini", "gemini-2.5-flash", usage=Usage(2, output=2), models=models) == Cost(None, 2, estimate=True)


def test_opencode_says_zero_where_it_knows_no_price():
    usage = Usage(0, output=100_000)
    assert cost("opencode", "anthropic/claude-haiku-4-5", usage=usage, cost_usd=0.0).usd == Decimal("0.50")
    assert cost("opencode", "local/llama", usage=usage, cost_usd=0.0) == Cost(Decimal(0), 100_000, estimate=False)


def test_a_scripted_agent_costs_what_its_script_says_or_nothing():
    assert cost("scripted", "", usage=Usage(5, output=7)) == Cost(Decimal(0), 7, estimate=True)
    assert cost("scripted", "") == Cost(Decimal(0), None, estimate=True)
    assert cost("scripted", "", usage=Usage(5, output=7), cost_usd=0.5) == Cost(Decimal("0.5"), 7, estimate=False)


def test_what_nobody_says_is_not_known():
    assert cost("acp", "m") == Cost(None, None, estimate=True)
    assert cost("acp", "m", usage=Usage(context_used=9)) == Cost(None, None, estimate=True)
    assert cost("claude-code", "m", outcome="failed", cost_usd=0.0) == Cost(Decimal(0), 0, estimate=False)


@pytest.mark.parametrize(
    "model",
    ["claude-opus-4-5", "anthropic/claude-opus-4-5", "claude-opus-4-5-20251101", "claude-opus-4-5-latest"],
)
def test_a_model_is_found_by_its_names(model):
    assert NONE.find("opencode", model) == price_list().models["claude-opus-4-5"]


@pytest.mark.parametrize("model", ["", "claude-opus-4-5-turbo", "claude-opus", "gpt-5-pro"])
def test_a_model_that_is_only_alike_has_no_price(model):
    assert NONE.find("opencode", model) is None


def test_prices_of_ones_own_come_first():
    table = prices(prices={"gemini": {"gemini-2.5-pro": {"input": 1, "output": 1}, "*": {"input": 2, "output": 2}}})
    assert table.find("gemini", "gemini-2.5-pro").input == 1
    assert table.find("gemini", "gemini-9").input == 2
    assert table.find("opencode", "gemini-2.5-pro").input == Decimal("2.50")


def test_a_rate_for_what_has_no_price():
    usage = Usage(100_000, 200_000, 300_000, 400_000)
    assert cost("acp", "new", prices(unpriced=10), usage=usage) == Cost(Decimal(10), 400_000, estimate=True)


def test_what_is_kept_for_an_hour_costs_twice_the_input():
    for name, price in price_list().models.items():
        if name.startswith("claude-"):
            assert (price.cache_write, price.cache_write_1h) == (price.input * Decimal("1.25"), price.input * 2), name
    million = {"claude-opus-4-5": {"cache_write": 1_000_000, "cache_write_1h": 400_000}}
    usage = Usage(cache_write=1_000_000, cache_write_1h=400_000)
    for models in ({}, million):
        turn = cost("acp", "claude-opus-4-5", usage=usage, models=models)
        assert turn.usd == Decimal("0.6") * Decimal("6.25") + Decimal("0.4") * 10
    untold = Usage(cache_write=1_000_000, unknown=("cache_write_1h",))
    assert cost("acp", "claude-opus-4-5", usage=untold).usd == 10, "as the dearest that it may be"
    assert cost("gemini", "gemini-2.5-pro", usage=untold).usd == Decimal("2.50"), "nobody asks more for an hour"


def test_dollars_without_tokens_are_no_zero_tokens():
    """OpenCode says after a compaction what it cost and not what it took."""
    for usage in (None, Usage(), Usage(context_used=9), Usage(unknown=("output",))):
        assert cost("opencode", "m", usage=usage, cost_usd=0.25).output_tokens is None
    assert cost("claude-code", "m", cost_usd=0.0) == Cost(Decimal(0), 0, estimate=False)


def test_what_is_not_told_whole_is_unknown_and_a_part_is_kept():
    usage = Usage(1_000_000, output=1_000_000, unknown=("input", "cache_read", "output"))
    turn = cost("gemini", "gemini-2.5-flash", usage=usage)
    assert turn == Cost(None, None, estimate=True)
    assert (turn.part_usd, turn.part_output) == (Decimal("2.80"), 1_000_000)
    cut = Usage(17, output=1, unknown=("output",))
    turn = cost("claude-code", "claude-opus-4-5", usage=cut, models={"claude-opus-4-5": {"cost_usd": 3.5}})
    assert (turn.usd, turn.output_tokens, turn.part_usd) == (None, None, Decimal("3.5"))
    turn = cost("opencode", "m", usage=Usage(31, output=11, unknown=("output",)), cost_usd=0.25)
    assert (turn.usd, turn.output_tokens, turn.part_output) == (Decimal("0.25"), None, 11)


def test_every_price_says_when_and_where_and_how_large_a_request_may_be():
    for name, price in price_list().models.items():
        assert price.as_of and price.source.startswith("https://"), name
        assert largest_request(price) > 0, name
        assert price.cache_read <= price.input <= price.cache_write < price.output, name
    assert largest_request(price_list().models["claude-opus-4-5"]) == Decimal("2.00") + Decimal("1.60")
