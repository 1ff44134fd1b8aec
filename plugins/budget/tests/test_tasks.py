"""Tasks of queues: admitted before a worker is hired, taken over by its first turn, given back else."""

import pytest
from budget_stage import ANNA, NIGHTLY, STEP, call, over, settled, spent, tell

from aegis import NotFound, Refused

CAPS = [{"usd": "0.30", "window": "1h"}]
TURN = "project: []\nturn: {usd: 0.20}"


@pytest.fixture
async def kernel(kernel_with, plugins, budgets):
    budgets(TURN)
    async with kernel_with(**plugins) as running:
        yield running


async def admit(kernel, task, **more):
    args = {"task": task, "queue": "nightly", "profile": "poor", "budgets": CAPS} | more
    return await call(kernel, "admit", by=NIGHTLY, **args)


async def reserved(kernel) -> str:
    return (await call(kernel, "show", scope="queue:nightly")).budgets[0].reserved


async def test_an_admission_says_what_is_held_and_the_worst_case(kernel):
    admission = await admit(kernel, "t1")
    assert (admission.task, admission.usd) == ("t1", "0.20")
    [worst] = admission.max_overshoot
    assert (worst.scope, worst.constraint, worst.limit, worst.window) == ("queue:nightly", "usd", "0.30", "1h")
    assert float(worst.most) == 2 * STEP * 10 / 1_000_000
    assert str(admission) == "admitted; queue:nightly may be passed by $0.20 at most, by the turn in flight"
    second = await admit(kernel, "t2")
    assert second.usd == "0.10", "no more than there is room for"
    assert second.max_overshoot[0].why == "$0.40 at most, by the 2 turns in flight"
    assert await reserved(kernel) == "0.30"


async def test_the_rejection_is_the_references(kernel, till):
    await admit(kernel, "t1")
    await admit(kernel, "t2")
    with pytest.raises(Refused) as refused:
        await admit(kernel, "t3")
    assert str(refused.value) == (
        "queue 'nightly' over budget: queue:nightly: $0 of $0.30 in 1h spent and $0.30 reserved, "
        "until a turn in flight ends"
    )
    blocked = {"constraint": "usd", "limit": "0.30", "spent": "0", "window": "1h", "unblock_at": ""}
    assert refused.value.data == {
        "error": "queue 'nightly' over budget", "queue": "nightly", "blocked_by": [blocked], "unblock_at": "",
    }  # fmt: skip


async def test_to_ask_is_not_to_hold(kernel):
    for _ in range(5):
        assert (await admit(kernel, "", check=True)).usd == "0.20"
    assert await reserved(kernel) == "0"


async def test_a_queue_may_take_what_has_to_wait_only_for_a_turn_to_end(kernel, till):
    """Whoever is only busy is not over budget: the task waits its turn, and is not handed back."""
    await admit(kernel, "t1")
    await admit(kernel, "t2")
    assert (await admit(kernel, "", check=True)).usd == "0"
    session, message = await work(kernel, till, "t1")
    session.end(last=31_000)
    await over(kernel, message)
    with pytest.raises(Refused) as refused:
        await admit(kernel, "", check=True)
    assert refused.value.data["unblock_at"].startswith("2026-01-05T11:00:")


async def test_the_same_task_is_admitted_once(kernel):
    await admit(kernel, "t1")
    await admit(kernel, "t1")
    assert await reserved(kernel) == "0.20"


async def test_release_gives_it_back_once(kernel):
    await admit(kernel, "t1")
    for _ in range(2):
        await call(kernel, "release", by=NIGHTLY, task="t1")
        assert await reserved(kernel) == "0"
    assert len(kernel.ledger.book("budget").newest("released", 5)) == 1


async def work(kernel, till, task, *, hire="w"):
    """Hire a worker and give it the task, and return its session once its turn has begun."""
    worker = await kernel.roster.spawn("poor", hire, by="queue:nightly")
    message = await tell(kernel, hire, task_id=task)
    session = till.sessions[worker.id]
    await session.begun.wait()
    await settled(kernel)
    return session, message


async def test_the_first_turn_of_the_task_takes_the_reservation_over(kernel, till):
    await admit(kernel, "t1")
    await admit(kernel, "t2")
    session, message = await work(kernel, till, "t1")
    assert await reserved(kernel) == "0.30", "full, and yet it began"
    await call(kernel, "release", by=NIGHTLY, task="t1")
    assert await reserved(kernel) == "0.30", "what a turn took over is the turn's"
    session.end(last=5_000)
    await over(kernel, message)
    assert str(await spent(kernel, "queue:nightly")) == "0.05"
    assert await reserved(kernel) == "0.10"
    [status] = (await call(kernel, "status"))["queues"]
    assert status == {"name": "nightly", "budgets_count": 1, "status": "ok"}


async def test_a_worker_is_held_to_what_its_queue_handed_over(kernel, till):
    await admit(kernel, "t1")
    session, message = await work(kernel, till, "t1")
    session.use(40_000)
    assert (await over(kernel, message)).outcome == "cancelled"
    again = await tell(kernel, "w")
    assert "queue 'nightly' over budget" in (await over(kernel, again)).reason
    status = await call(kernel, "status", queue="nightly")
    assert (status["name"], status["allowed"], status["unblock_at"][:10]) == ("nightly", False, "2026-01-05")
    assert [c["constraint"] for c in status["blocked_by"]] == ["usd"]


async def test_every_scope_must_allow_it(kernel, till, budgets):
    budgets("project: [{output_tokens: 10, window: 1d}]\nprofiles: {poor: [{usd: 0.01, window: 1h}]}")
    kernel.config.reload()
    await admit(kernel, "t1", budgets=[])
    session, message = await work(kernel, till, "t1")
    session.end(last=1_000)
    await over(kernel, message)
    with pytest.raises(Refused) as refused:
        await admit(kernel, "t2", budgets=[])
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
        assert (await admit(kernel, "t1")).usd == "0.20"


async def test_a_queue_that_has_no_budgets_any_more_is_not_held(kernel):
    await admit(kernel, "t1")
    await call(kernel, "release", by=NIGHTLY, task="t1")
    await admit(kernel, "t2", budgets=[])
    assert kernel.verbs.completions("budget-scope") == []
    with pytest.raises(NotFound, match="no budget of 'queue:nightly'"):
        await reserved(kernel)


async def test_people_do_not_admit(kernel):
    with pytest.raises(Refused, match="may not use 'budget admit'"):
        await call(kernel, "admit", by=ANNA, task="t", queue="nightly", profile="poor")
