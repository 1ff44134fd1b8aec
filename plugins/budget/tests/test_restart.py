"""What a new start makes of what the last one left: settled before anything begins."""

import shutil
from decimal import Decimal

from budget_stage import Till, admit, call, release, settled, spent, tell, turn

import aegis_budget.plugin
from aegis import open_kernel
from aegis.ledger import Draft
from aegis.testing.clock import TestClock
from aegis_ledger.book import SNAPSHOT_EVERY

CAP = "profiles: {poor: [{usd: 1, window: 1h}]}\nturn: {usd: 0.30}"


async def crashed(kernel_with, plugins, project, tmp_path, tokens=0):
    """Return what a kill leaves of a project in whose only turn so many tokens were used."""
    async with kernel_with(**plugins) as kernel:
        session = plugins["till"].sessions[(await kernel.roster.spawn("poor", "ada")).id]
        await tell(kernel, "ada")
        await session.begun.wait()
        session.use(tokens)
        await settled(kernel)
        return shutil.copytree(project, tmp_path / "left", ignore=shutil.ignore_patterns("*.sock"))


def again(folder, clock=None):
    plugins = {"till": Till(), "budget": aegis_budget.plugin}
    return open_kernel(folder, plugins=plugins, clock=clock or TestClock(), environment={})


async def test_a_turn_in_flight_counts_what_was_reserved(kernel_with, plugins, project, tmp_path, budgets, clock):
    budgets(CAP)
    left = await crashed(kernel_with, plugins, project, tmp_path, 5_000)
    for _ in range(2):
        async with again(left, clock) as kernel:
            await settled(kernel)
            sheet = await call(kernel, "show", scope="profile:poor")
            assert (sheet.budgets[0].spent, sheet.budgets[0].reserved) == ("0.30", "0")
            [spend] = sheet.spends
            assert (spend.agent, spend.usd, spend.outcome) == ("ada", "~0.30", "interrupted")


async def test_or_what_was_metered_when_that_was_more(kernel_with, plugins, project, tmp_path, budgets, clock):
    budgets(CAP)
    left = await crashed(kernel_with, plugins, project, tmp_path, 50_000)
    async with again(left, clock) as kernel:
        await settled(kernel)
        assert await spent(kernel, "profile:poor") == Decimal("0.80"), "what was reserved beyond it, too"


async def test_a_turn_under_no_budget_that_ended_just_before_is_found(kernel_with, plugins, project, budgets, till):
    (project / ".aegis.yaml").write_text("agents: {rich: {provider: till, model: penny}}")
    async with kernel_with(till=till) as kernel:  # as if aegis died before the budget could write
        await kernel.roster.spawn("rich", "eve")
        await turn(kernel, till, "eve", 20_000)
        await turn(kernel, till, "eve", silent=True)
    budgets(CAP)
    for _ in range(2):
        async with kernel_with(**plugins) as kernel:
            await settled(kernel)
            assert {(t.by, t.name): (t.usd, t.turns) for t in await call(kernel, "spent")} == {
                ("agent", "eve"): ("0.20", 1), ("profile", "rich"): ("0.20", 1), ("project", ""): ("0.20", 1),
            }  # fmt: skip


async def test_the_past_is_there_after_a_restart(kernel_with, plugins, budgets, till):
    budgets(CAP)
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("poor", "ada")
        await turn(kernel, till, "ada", 100_000)
        before = await call(kernel, "spent")
    async with kernel_with(**plugins) as kernel:
        assert await call(kernel, "spent") == before
        assert (await turn(kernel, till, "ada")).outcome == "refused"
        assert kernel.roster.find("ada").notes["budget"] == "profile:poor: over $0.80 of $1 in 1h is spent"


async def test_a_snapshot_gives_the_same_state(kernel_with, plugins, budgets, till):
    budgets(CAP)
    async with kernel_with(**plugins) as kernel:
        await kernel.roster.spawn("poor", "ada")
        await turn(kernel, till, "ada", 10_000)
        await admit(kernel, "t1", [{"usd": 3, "window": "1h"}], profile="rich")
        spend = kernel.ledger.book("budget").newest("spent", 1)[0].data
        many = [Draft("budget", "spent", f"x{n}", spend | {"usd": "0.00001"}) for n in range(SNAPSHOT_EVERY)]
        await kernel.ledger.append(*many)
        before = await call(kernel, "list")
    async with kernel_with(**plugins) as kernel:
        state, records = kernel.ledger.book("budget").replay()
        assert state["open"] and len(list(records)) < 10, "it begins with a snapshot"
        await release(kernel, "t1")
        held = {row.scope: row.reserved for row in before}
        assert held == {"profile:poor": "0", "queue:nightly": "0.30"}
        assert [(r.scope, r.spent) for r in await call(kernel, "list")] == [(r.scope, r.spent) for r in before]
