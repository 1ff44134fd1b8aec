"""Turns under budgets: admitted, metered, stopped, written down, whatever becomes of them."""

from decimal import Decimal

import pytest
import trio
from budget_stage import STEP, call, over, settled, spent, tell, turn, until

from aegis import Caller, DriverInfo
from aegis.events import Notice, TurnEnded, Usage

CENT = "profiles: {poor: [{usd: 0.01, window: 1h}]}"
DOLLAR = "profiles: {poor: [{usd: 1, window: 1h}]}\nturn: {usd: 0.30, output_tokens: 30000}"


@pytest.fixture
async def kernel(kernel_with, plugins, budgets, request):
    """A kernel under the budgets that the test is marked with."""
    budgets(getattr(request, "param", DOLLAR))
    async with kernel_with(**plugins) as running:
        yield running


def under(text: str):
    return pytest.mark.parametrize("kernel", [text], indirect=True, ids=[""])


async def ada(kernel, till, profile="poor", handle="ada"):
    return till.sessions[(await kernel.roster.spawn(profile, handle)).id]


async def reserved(kernel, scope="profile:poor") -> str:
    return (await call(kernel, "show", scope=scope)).budgets[0].reserved


async def test_a_turn_is_reserved_for_and_then_counted(kernel, till):
    session = await ada(kernel, till)
    message = await tell(kernel, "ada")
    await session.begun.wait()
    assert await reserved(kernel) == "0.30"
    [record] = kernel.ledger.book("budget").newest("reserved", 5)
    assert record.key == kernel.roster.find("ada").turn.id
    session.end(last=25_000)
    await over(kernel, message)
    assert await reserved(kernel) == "0"
    assert await spent(kernel, "profile:poor") == Decimal("0.25")


@under(CENT)
async def test_an_exhausted_budget_refuses_with_the_sentence(kernel, till):
    session = await ada(kernel, till)
    await turn(kernel, till, "ada", 1_000)
    ended = await turn(kernel, till, "ada")
    assert ended.outcome == "refused"
    assert ended.reason == (
        "profile 'poor' over budget: profile:poor: $0.01 of $0.01 in 1h spent, until 2026-01-05T11:00:01Z"
    )
    assert len(session.heard) == 1
    [note] = kernel.post.letters("human:anna")
    assert "over budget" in note.envelope.body, "whoever asked is told"


@under(CENT)
async def test_the_window_opens_again(kernel, till, clock):
    await ada(kernel, till)
    await turn(kernel, till, "ada", 1_000)
    clock.jump(3_595)
    assert (await turn(kernel, till, "ada")).outcome == "refused"
    clock.jump(6)
    assert (await turn(kernel, till, "ada")).outcome == "completed"


@under("project: [{usd: 0.01, window: 1h}]\nturn: {usd: 0.004}")
async def test_twenty_at_once_against_a_cent_are_as_many_as_fit(kernel, till):
    agents = [await kernel.roster.spawn("poor", f"a{n}") for n in range(20)]
    messages = [await tell(kernel, agent.handle) for agent in agents]
    await settled(kernel)
    begun = [agent for agent in agents if till.sessions[agent.id].heard]
    assert len(begun) == 3
    held = kernel.ledger.book("budget").newest("reserved", 50)
    assert [Decimal(r.data["usd"]) for r in held] == [Decimal("0.002"), Decimal("0.004"), Decimal("0.004")]
    for agent in begun:
        till.sessions[agent.id].end(last=400)
    outcomes = [(await over(kernel, message)).outcome for message in messages]
    assert outcomes.count("completed") == 3 and outcomes.count("refused") == 17
    await settled(kernel)
    assert await spent(kernel) == Decimal("0.012")


async def test_a_turn_that_passes_its_reservation_reserves_more_while_there_is_room(kernel, till):
    session = await ada(kernel, till)
    message = await tell(kernel, "ada")
    await session.begun.wait()
    steps = []
    for _ in range(9):
        session.use(10_000)
        await settled(kernel)
        steps.append(await reserved(kernel))
    assert steps == ["0.30", "0.30", "0.30", "0.70", "0.70", "0.70", "0.70", "1", "1"]
    assert not session.interrupts
    session.use(10_000)
    assert (await over(kernel, message)).outcome == "cancelled"
    assert session.interrupts == 1
    assert await spent(kernel, "profile:poor") == 1


async def test_an_interrupted_turn_says_why(kernel, till):
    session = await ada(kernel, till)
    with kernel.bus.subscribe() as news:
        await tell(kernel, "ada")
        await session.begun.wait()
        session.use(200_000)
        await until(lambda: session.interrupts)
        said = [e.text for batch in news.take() for e in batch.events if isinstance(e, Notice)]
    assert "this turn is interrupted: profile:poor has nothing left of $1 in 1h" in said


@under("profiles: {poor: [{usd: 1, window: 1h, on_exceed: finish, turn_most: 3}]}")
async def test_a_turn_may_finish_and_nothing_else_begins(kernel, till):
    session = await ada(kernel, till)
    message = await tell(kernel, "ada")
    await session.begun.wait()
    session.use(250_000)
    await settled(kernel)
    await ada(kernel, till, handle="eve")
    assert (await turn(kernel, till, "eve")).outcome == "refused"
    session.end()
    assert (await over(kernel, message)).outcome == "completed"
    assert not session.interrupts
    await settled(kernel)
    assert await spent(kernel, "profile:poor") == Decimal("2.50")


@pytest.mark.parametrize("outcome", ["cancelled", "failed", "refused", "truncated"])
async def test_a_turn_that_ends_badly_counts_what_it_used(kernel, till, outcome):
    await ada(kernel, till)
    await turn(kernel, till, "ada", 7_000, outcome=outcome)
    assert await spent(kernel, "profile:poor") == Decimal("0.07")


async def test_a_turn_of_which_nothing_is_known_counts_what_was_reserved(kernel, till):
    await ada(kernel, till)
    await turn(kernel, till, "ada", silent=True)
    sheet = await call(kernel, "show", scope="profile:poor")
    assert sheet.budgets[0].spent == "0.30"
    assert sheet.spends[0].usd == "~0.30"


@pytest.mark.parametrize(
    ("wrote", "usd", "counted"), [(1_000, 0.05, "0.30"), (1_000, 0.70, "0.70"), (60_000, 0.0, "0.60")]
)
async def test_a_turn_that_is_told_in_part_counts_what_was_reserved_or_that_part(kernel, till, wrote, usd, counted):
    session = await ada(kernel, till)
    message = await tell(kernel, "ada")
    await session.begun.wait()
    part = Usage(output=wrote, unknown=("output",))
    session.say(TurnEnded("cancelled", usage=part, models={"m": {"cost_usd": usd}}))
    assert (await over(kernel, message)).outcome == "cancelled"
    sheet = await call(kernel, "show", scope="profile:poor")
    assert (sheet.budgets[0].spent, sheet.spends[0].usd) == (counted, f"~{counted}")
    assert sheet.spends[0].unknown == ("usd", "output_tokens")
    assert f"cost unknown ($~{counted} counted), output tokens unknown" in str(sheet)
    [total] = [t for t in await call(kernel, "spent") if t.name == "poor"]
    assert (total.usd, total.unknown_usd, total.unknown_output_tokens) == (counted, 1, 1)


async def test_what_was_metered_counts_when_the_end_says_nothing(kernel, till):
    session = await ada(kernel, till)
    message = await tell(kernel, "ada")
    await session.begun.wait()
    session.use(50_000)
    await settled(kernel)
    till.sessions.clear()
    await kernel.roster.close(kernel.roster.find("ada"))
    assert (await over(kernel, message)).outcome == "interrupted"
    assert await spent(kernel, "profile:poor") == Decimal("0.50")


async def test_a_turn_that_the_cli_never_took_gives_its_reservation_back(kernel, till):
    session = await ada(kernel, till)
    session.quiet = True
    await tell(kernel, "ada")
    await session.begun.wait()
    assert await reserved(kernel) == "0.30"
    await kernel.roster.close(kernel.roster.find("ada"))
    await settled(kernel)
    assert await reserved(kernel) == "0"
    assert await spent(kernel, "profile:poor") == 0


async def test_a_turn_interrupted_before_it_began_costs_nothing(kernel_with, plugins, budgets, till):
    class Impatient:
        """Refuses every turn, after the budget has admitted it."""

        name, order = "impatient", 100

        async def before_turn(self, turn):
            turn.interrupted = True

        def aegis_interceptors(self):
            return [self]

    from aegis import hookimpl  # noqa: PLC0415

    Impatient.aegis_interceptors = hookimpl(Impatient.aegis_interceptors)
    budgets(DOLLAR)
    async with kernel_with(**plugins, impatient=Impatient()) as kernel:
        await ada(kernel, till)
        assert (await turn(kernel, till, "ada")).outcome == "cancelled"
        assert (await reserved(kernel), await spent(kernel, "profile:poor")) == ("0", 0)


async def test_spending_is_known_to_a_budget_that_comes_later(kernel, till, budgets):
    await ada(kernel, till, "rich", "eve")
    await turn(kernel, till, "eve", 50_000)
    budgets("project: [{usd: 0.50, window: 1h}]")
    await kernel.config.refresh()
    await settled(kernel)
    assert (await turn(kernel, till, "eve")).outcome == "refused"


async def test_a_renamed_agent_spends_from_the_same_budget(kernel, till):
    await ada(kernel, till)
    await turn(kernel, till, "ada", 60_000)
    await kernel.roster.rename(kernel.roster.find("ada"), "lovelace")
    await turn(kernel, till, "lovelace", 40_000)
    assert (await turn(kernel, till, "lovelace")).outcome == "refused"
    totals = {(t.by, t.name): (t.usd, t.turns) for t in await call(kernel, "spent")}
    assert totals == {("agent", "lovelace"): ("1", 2), ("profile", "poor"): ("1", 2), ("project", ""): ("1", 2)}


async def test_one_warning_at_four_fifths_taken_back_below(kernel, till, autojump):
    await ada(kernel, till)
    agent = kernel.roster.find("ada")
    await turn(kernel, till, "ada", 79_000)
    assert "budget" not in agent.notes
    await turn(kernel, till, "ada", 1_000)
    assert agent.notes["budget"] == "profile:poor: over $0.80 of $1 in 1h is spent"
    await trio.sleep(3_602)
    await settled(kernel)
    assert "budget" not in agent.notes


async def test_an_agent_reads_its_own_budget(kernel, till):
    await ada(kernel, till)
    agent = kernel.roster.find("ada")
    await turn(kernel, till, "ada", 10_000)
    status = await call(kernel, "status", by=kernel.roster.caller(agent))
    assert status["queues"] == []
    [own] = status["own"]
    assert (own["scope"], own["spent"], own["limit"], own["headroom"]) == ("profile:poor", "0.10", "1", "0.90")
    eve = (await kernel.roster.spawn("poor", "eve")).id
    assert any("profile:poor: $0.10 of $1 in 1h spent" in line for line in till.seats[eve].primer)
    await kernel.roster.spawn("rich", "bob")
    assert till.seats[kernel.roster.find("bob").id].primer == []


async def test_the_worst_case_is_stated_when_it_changes(kernel, till):
    with kernel.bus.subscribe() as news:

        def said():
            return [e.text for batch in news.take() for e in batch.events if isinstance(e, Notice)]

        await ada(kernel, till)
        await turn(kernel, till, "ada", 1)
        most = Decimal(2 * STEP * 10) / 1_000_000
        assert said() == [f"budget: profile:poor may be passed by ${most:.2f} at most, by the turn in flight"]
        await turn(kernel, till, "ada", 1)
        assert said() == []


async def test_a_provider_that_says_nothing_before_the_end_has_no_worst_case(kernel, till):
    till.info = DriverInfo()
    with kernel.bus.subscribe() as news:
        await ada(kernel, till)
        await turn(kernel, till, "ada", 1)
        said = [e.text for batch in news.take() for e in batch.events if isinstance(e, Notice)]
    assert said[0].startswith("budget: profile:poor may be passed by any amount: nothing limits the turn in flight")


async def test_a_late_reading_is_not_the_next_turns(kernel, till):
    session = await ada(kernel, till)
    await turn(kernel, till, "ada", 10_000)
    session.say(Usage(output=90_000))  # between two turns
    await settled(kernel)
    message = await tell(kernel, "ada")
    await session.begun.wait()
    await settled(kernel)
    assert await reserved(kernel) == "0.30"
    session.end()
    await over(kernel, message)


async def test_people_see_who_spent_it(kernel, till):
    await ada(kernel, till)
    await turn(kernel, till, "ada", 10_000)
    rows = await call(kernel, "list")
    assert [(r.scope, r.budget, r.spent, r.left, r.blocked_until) for r in rows] == [
        ("profile:poor", "$1 in 1h", "0.10", "0.90", "")
    ]
    assert [t.name for t in await call(kernel, "spent", since="2h")] == ["ada", "poor", ""]
    with pytest.raises(Exception, match="'yesterday' is not a window"):
        await call(kernel, "spent", since="yesterday")
    with pytest.raises(Exception, match=r"no budget of 'profile:pour' \(there are: profile:poor\)"):
        await call(kernel, "show", scope="profile:pour")
    assert {v.name for v in kernel.verbs.visible(Caller("agent", "ada"))} == {"budget status"}
