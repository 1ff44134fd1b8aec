"""Tasks of queues: admitted before a worker is hired, taken over by its first turn, given back else."""

import pytest
from budget_stage import CAPS, STEP, admit, call, over, release, reserved, settled, spent, tell, turn, work

from aegis import Caller, NotFound, Refused

TURN = "project: []\nturn: {usd: 0.20}"


@pytest.fixture
async def kernel(kernel_with, plugins, budgets):
    budgets(TURN)
    async with kernel_with(**plugins) as running:
        yield running


async def test_what_is_held_for_admitted_tasks_and_the_worst_case_are_shown(kernel):
    assert await admit(kernel, "t1") is None
    sheet = await call(kernel, "show", scope="queue:nightly")
    assert sheet.budgets[0].reserved == "0.20"
    [worst] = sheet.overshoot
    assert (worst.scope, worst.constraint, worst.limit, worst.window) == ("queue:nightly", "usd", "0.30", "1h")
    assert float(worst.most) == 2 * STEP * 10 / 1_000_000
    assert "queue:nightly may be passed by $0.20 at most, by the turn in flight" in str(sheet)
    assert await admit(kernel, "t2") is None
    sheet = await call(kernel, "show", scope="queue:nightly")
    assert sheet.budgets[0].reserved == "0.30", "no more than there is room for"
    assert sheet.overshoot[0].why == "$0.40 at most, by the 2 turns in flight"


async def test_who_keeps_the_budgets_of_a_queue_says_so(kernel):
    asked = work("t1", CAPS)
    await kernel.interceptors.admit(asked)
    assert asked.kept == {"budgets"}


async def test_a_task_is_held_until_a_turn_in_flight_ends_and_then_asking_again_helps(kernel, till):
    await admit(kernel, "t1")
    await admit(kernel, "t2")
    hold = await admit(kernel, "t3")
    assert (hold.reason, hold.until) == (
        "queue 'nightly' over budget: queue:nightly: $0 of $0.30 in 1h spent and $0.30 reserved, "
        "until a turn in flight ends", ""
    )  # fmt: skip
    assert not hold.changed.is_set()
    await release(kernel, "t2")
    assert hold.changed.is_set()
    assert await admit(kernel, "t3") is None


async def test_a_task_is_held_until_what_was_spent_leaves_the_window_or_a_person_allows_more(kernel, till, budgets):
    await admit(kernel, "t1")
    session, message = await begin(kernel, till, "t1")
    session.end(last=31_000)
    await over(kernel, message)
    hold = await admit(kernel, "t2")
    assert hold.until.startswith("2026-01-05T11:00:")
    await kernel.roster.spawn("rich", "eve")
    await turn(kernel, till, "eve", 10)
    assert not hold.changed.is_set(), "nobody is woken for nothing"
    budgets("project: []\nturn: {usd: 0.10}")
    await kernel.config.refresh()
    await settled(kernel)
    assert hold.changed.is_set()


async def test_the_rejection_is_the_references(kernel, till):
    await admit(kernel, "t1")
    session, message = await begin(kernel, till, "t1")
    session.end(last=31_000)
    await over(kernel, message)
    with pytest.raises(Refused) as refused:
        await admit(kernel, "t2", only_ask=True)
    data = refused.value.data
    until = data["unblock_at"]
    blocked = {"constraint": "usd", "limit": "0.30", "spent": "0.31", "window": "1h", "unblock_at": until}
    assert data == {
        "error": "queue 'nightly' over budget", "queue": "nightly", "blocked_by": [blocked], "unblock_at": until,
    }  # fmt: skip
    assert until.startswith("2026-01-05T11:00:")


async def test_to_ask_is_not_to_hold(kernel):
    for _ in range(5):
        assert await admit(kernel, "t1", only_ask=True) is None
    assert await reserved(kernel) == "0"


async def test_a_queue_may_take_what_has_to_wait_only_for_a_turn_to_end(kernel):
    """Whoever is only busy is not over budget: the task waits its turn, and is not handed back."""
    await admit(kernel, "t1")
    await admit(kernel, "t2")
    assert await admit(kernel, "t3", only_ask=True) is None


async def test_the_same_task_is_admitted_once(kernel):
    await admit(kernel, "t1")
    await admit(kernel, "t1")
    assert await reserved(kernel) == "0.20"


async def test_release_gives_it_back_once(kernel):
    await admit(kernel, "t1")
    for _ in range(2):
        await release(kernel, "t1")
        assert await reserved(kernel) == "0"
    assert len(kernel.ledger.book("budget").newest("released", 5)) == 1


async def begin(kernel, till, task, *, hire="w"):
    """Hire a worker and give it the task, and return its session once its turn has begun."""
    worker = await kernel.roster.spawn("poor", hire, by=Caller("queue", "nightly"))
    message = await tell(kernel, hire, task_id=task)
    session = till.sessions[worker.id]
    await session.begun.wait()
    await settled(kernel)
    return session, message


async def test_the_first_turn_of_the_task_takes_the_reservation_over(kernel, till):
    await admit(kernel, "t1")
    await admit(kernel, "t2")
    session, message = await begin(kernel, till, "t1")
    assert await reserved(kernel) == "0.30", "full, and yet it began"
    await release(kernel, "t1")
    assert await reserved(kernel) == "0.30", "what a turn took over is the turn's"
    session.end(last=5_000)
    await over(kernel, message)
    assert str(await spent(kernel, "queue:nightly")) == "0.05"
    assert await reserved(kernel) == "0.10"
    [status] = (await call(kernel, "status"))["queues"]
    assert status == {"name": "nightly", "budgets_count": 1, "status": "ok"}


async def test_a_worker_is_held_to_what_its_queue_handed_over(kernel, till):
    await admit(kernel, "t1")
    session, message = await begin(kernel, till, "t1")
    session.use(40_000)
    assert (await over(kernel, message)).outcome == "cancelled"
    again = await tell(kernel, "w")
    assert "queue 'nightly' over budget" in (await over(kernel, again)).reason
    status = await call(kernel, "status", queue="nightly")
    assert (status["name"], status["allowed"], status["unblock_at"][:10]) == ("nightly", False, "2026-01-05")
    assert [c["constraint"] for c in status["blocked_by"]] == ["usd"]


async def test_every_scope_must_allow_it(kernel, till, budgets):
    budgets("project: [{output_tokens: 10, window: 1d}]\nprofiles: {poor: [{usd: 0.01, window: 1h}]}")
    await kernel.config.refresh()
    await settled(kernel)
    await admit(kernel, "t1", [])
    session, message = await begin(kernel, till, "t1")
    session.end(last=1_000)
    await over(kernel, message)
    with pytest.raises(Refused) as refused:
        await admit(kernel, "t2", [], only_ask=True)
    assert refused.value.data["profile"] == "poor"
    assert [c["constraint"] for c in refused.value.data["blocked_by"]] == ["usd", "output_tokens"]
    assert refused.value.data["unblock_at"] == "2026-01-06T10:00:01Z"


async def test_a_restart_gives_back_what_no_turn_took(kernel_with, plugins, budgets):
    budgets(TURN)
    async with kernel_with(**plugins) as kernel:
        await admit(kernel, "t1")
    async with kernel_with(**plugins) as kernel:
        await settled(kernel)
        assert await reserved(kernel) == "0", "and the queue's own budgets are remembered"
        assert await admit(kernel, "t1") is None
        assert await reserved(kernel) == "0.20"


async def test_a_queue_that_has_no_budgets_any_more_is_not_held(kernel):
    await admit(kernel, "t1")
    await release(kernel, "t1")
    await admit(kernel, "t2", [])
    assert kernel.verbs.completions("budget-scope") == []
    with pytest.raises(NotFound, match="no budget of 'queue:nightly'"):
        await reserved(kernel)


async def test_without_budgets_nothing_is_read_and_nothing_is_written(kernel_with, plugins, budgets):
    budgets("project: []")
    async with kernel_with(**plugins) as kernel:
        await settled(kernel)
        assert await admit(kernel, "t1", []) is None
        assert kernel.ledger.book("budget").find("task:t1") == []
