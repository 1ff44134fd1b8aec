"""What is wrong with budgets is said at the start; what is found later stops the spending."""

import pytest
import trio
from budget_stage import ANNA, admit, config, settled, turn, until

from aegis import ConfigError, DriverInfo, Refused
from aegis.events import AgentChanged
from aegis_processes.supervision import LIMIT

START = "profiles: {poor: [{usd: 1, window: 1h}]}"


@pytest.mark.parametrize(
    ("budgets", "how", "sentence"),
    [
        (
            "profiles: {pour: [{usd: 1, window: 1h}]}",
            {},
            r"budgets\.profiles\.pour: there is no profile 'pour' .*'poor'",
        ),
        (
            START,
            {"model": "new"},
            r"the budget of profile:poor \(\$1 in 1h\) cannot hold the profile 'poor': its model 'new'",
        ),
        (START, {"model": ""}, r"it names no model"),
        ("project: [{usd: 1, window: 1h}]", {"model": "new"}, r"the budget of project .*'rich'"),
        ("project: [{usd: 1, window: 1s}]", {}, r"yaml:6: budgets\.project\.0\.window: '1s' is not a window"),
        (
            "project: [{usd: 1, window: 1h}, {usd: 2, window: 60m}]",
            {},
            r"budgets\.project: there are two budgets of usd",
        ),
        ("projects: []", {}, r"there is no setting 'projects' here .* Did you mean 'project'"),
        ("unpriced: maybe", {}, r"budgets\.unpriced"),
    ],
)
async def test_what_is_refused_at_the_start(kernel_with, plugins, project, budgets, how, sentence):
    (project / ".aegis.yaml").write_text(config(budgets, **how))
    with pytest.raises(ConfigError, match=sentence):
        async with kernel_with(**plugins):
            pass


async def test_a_budget_of_a_profile_whose_plugin_is_not_here_is_a_remark(kernel_with, plugins, budgets, till):
    budgets("profiles: {distant: [{usd: 1, window: 1h}]}")
    async with kernel_with(**plugins) as kernel:
        [remark] = kernel.config.remarks
        assert "budgets.profiles.distant: there is no profile 'distant'" in remark
        await kernel.roster.spawn("poor", "ada")
        assert (await turn(kernel, till, "ada")).outcome == "completed"


async def test_the_sentence_names_three_ways_out(kernel_with, plugins, budgets):
    budgets(START, model="new")
    with pytest.raises(ConfigError) as error:
        async with kernel_with(**plugins):
            pass
    for way in ("budgets.prices.till.new", "budgets.unpriced", "output_tokens"):
        assert way in str(error.value)


@pytest.mark.parametrize(
    "way",
    [
        {"budgets": START, "prices": "till: {new: {input: 1, output: 1}}"},
        {"budgets": START, "prices": "till: {'*': {input: 1, output: 1}}"},
        {"budgets": f"unpriced: allow\n{START}"},
        {"budgets": f"unpriced: 10\n{START}"},
        {"budgets": "profiles: {poor: [{output_tokens: 1, window: 1h}]}"},
        {"budgets": "queues: {nightly: [{usd: 1, window: 1h}]}"},
    ],
)
async def test_each_way_out_works(kernel_with, plugins, budgets, way):
    text = way.pop("budgets")
    budgets(text, model="new", **way)
    async with kernel_with(**plugins) as kernel:
        assert list(kernel.faults) == []


async def test_a_provider_that_says_its_costs_needs_no_price(kernel_with, plugins, budgets, till):
    budgets(START, model="new")
    till.info = DriverInfo(meters=True, costs=True)
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("poor", "ada")
        assert (await turn(kernel, till, "ada", cost=0.25)).outcome == "completed"
        assert (await kernel.verbs.call(ANNA, "budget list"))[0].spent == "0.25"


async def test_a_mistake_made_while_it_runs_stops_every_turn(kernel_with, plugins, budgets, till):
    budgets(START)
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("rich", "ada")
        budgets("profiles: {pour: [{usd: 1, window: 1h}]}")
        await kernel.config.refresh()
        await settled(kernel)
        ended = await turn(kernel, till, "ada")
        assert (ended.outcome, ended.reason) == (
            "refused",
            "budgets.profiles.pour: there is no profile 'pour' (profiles: poor, rich, till). Did you mean 'poor'?",
        )


async def test_a_profile_nobody_declared_is_checked_when_it_is_used(kernel_with, plugins, budgets, till):
    budgets("project: [{usd: 1, window: 1h}]")
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("till", "ada")
        ended = await turn(kernel, till, "ada")
        assert ended.outcome == "refused"
        assert "cannot hold the profile 'till': it names no model" in ended.reason
        assert till.sessions[kernel.roster.find("ada").id].heard == [], "nothing was sent"


async def test_a_wrong_budget_of_a_queue_stops_the_queue(kernel_with, plugins, budgets):
    budgets("project: []")
    async with kernel_with(**plugins) as kernel:
        with pytest.raises(Refused, match=r"queues\.nightly\.budgets\.0\.window: 'soon' is not a window"):
            await admit(kernel, "t1", [{"usd": 1, "window": "soon"}])
        with pytest.raises(Refused, match="cannot hold the profile 'till'"):
            await admit(kernel, "t1", [{"usd": 1, "window": "1h"}], profile="till")


async def test_without_its_meter_nothing_begins_under_a_budget(kernel_with, plugins, budgets, till, autojump):
    budgets(START)
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("poor", "ada")
        await kernel.roster.spawn("rich", "eve")
        for crash in range(LIMIT):
            kernel.bus.publish("nobody", AgentChanged({"a face": "without a state"}))
            await until(lambda n=crash: len(kernel.faults) > n)
            await trio.sleep(2)
        assert "its meter is down (KeyError('state'))" in (await turn(kernel, till, "ada")).reason
        assert (await turn(kernel, till, "eve")).outcome == "completed"


@pytest.mark.parametrize(("text", "outcome"), [(START, "refused"), ("project: []", "completed")])
async def test_books_that_cannot_be_opened_stop_what_is_capped(kernel_with, plugins, budgets, till, text, outcome):
    budgets(text)
    async with kernel_with(**plugins) as kernel:
        kernel.ledger.book("budget").snapshot({"what": "no version of it ever wrote"}, 1)
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("poor", "ada")
        ended = await turn(kernel, till, "ada")
        assert ended.outcome == outcome
        assert ("aegis-budget could not start" in ended.reason) is (outcome == "refused")
