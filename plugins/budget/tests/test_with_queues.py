"""Budgets and queues together: what is handed over waits or is refused, and what is wrong is said at the start."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from budget_stage import ANNA, call, config, settled, turn, until

import aegis_queue.plugin
from aegis import ConfigError, NotFound, Refused
from aegis.testing.counting import counted

CAP = "{agent: poor, max_parallel: 2, budgets: [{usd: 0.30, window: 1h}]}"
TURN = "project: []\nturn: {usd: 0.20}"


@pytest.fixture
def plugins(plugins):
    return plugins | {"queue": aegis_queue.plugin}


async def put(kernel, **more) -> str:
    return str((await kernel.verbs.call(ANNA, "enqueue", {"queue": "nightly", "payload": "work", **more})).task_id)


async def state(kernel, task):
    return await kernel.verbs.call(ANNA, "task show", {"task_id": task})


async def becomes(kernel, task, status: str) -> None:
    """Return once the task is in this state."""
    with trio.fail_after(20):
        while (await state(kernel, task)).status != status:
            await trio.testing.wait_all_tasks_blocked(0.002)


async def finish(kernel, till, task, tokens: int) -> None:
    """Have the worker of a task end its turn, with so many tokens used."""
    worker = kernel.roster.find((await state(kernel, task)).worker)
    await till.sessions[worker.id].begun.wait()
    till.sessions[worker.id].end(last=tokens)
    await until(lambda: kernel.roster.get(worker.id) is None)
    await settled(kernel)


async def test_what_only_has_to_wait_is_taken_and_what_is_spent_is_refused(kernel_with, plugins, budgets, till, clock):
    budgets(TURN, more=f"queues: {{nightly: {CAP}}}")
    async with kernel_with(**plugins) as kernel:
        tasks = [await put(kernel) for _ in range(4)]
        await settled(kernel)
        for task, status in zip(tasks, ["running", "running", "pending", "pending"], strict=True):
            await becomes(kernel, task, status)
        await finish(kernel, till, tasks[0], 5_000)
        await becomes(kernel, tasks[2], "running")  # what was reserved and not spent is free again
        for task in tasks[1:3]:
            await finish(kernel, till, task, 15_000)
        with trio.fail_after(20):
            while "$0.35 of $0.30 in 1h spent" not in (held := await state(kernel, tasks[3])).held:
                await trio.testing.wait_all_tasks_blocked(0.002)
        assert (held.status, "queue 'nightly' over budget" in held.held) == ("pending", True)
        with pytest.raises(Refused) as refused:
            await put(kernel)
        [blocked] = refused.value.data["blocked_by"]
        assert (blocked["constraint"], blocked["limit"], blocked["spent"]) == ("usd", "0.30", "0.35")
        assert refused.value.data["unblock_at"] == blocked["unblock_at"] != ""
        clock.jump(3_600)
        await until(lambda: kernel.roster.live() & {f"nightly-{tasks[3][-4:].lower()}"})
        await settled(kernel)
        await finish(kernel, till, tasks[3], 1_000)
        assert (await state(kernel, tasks[3])).outcome == "ok", "it began by itself when the window let go"


async def test_a_worker_that_its_budget_stops_says_so_to_whoever_waits(kernel_with, plugins, budgets, till):
    budgets(TURN, more=f"queues: {{nightly: {CAP}}}")
    async with kernel_with(**plugins) as kernel:
        task = await put(kernel)
        await until(lambda: till.sessions)
        [session] = till.sessions.values()
        await session.begun.wait()
        session.use(31_000)
        await until(lambda: kernel.post.letters("human:anna"))
        status = await state(kernel, task)
        assert (status.status, status.outcome) == ("cancelled", "cancelled")
        assert "queue:nightly has nothing left of $0.30 in 1h" in status.error
        assert "queue:nightly has nothing left of $0.30 in 1h" in kernel.post.letters("human:anna")[0].envelope.body


WRONG = {
    "a setting nobody knows": (
        "{agent: poor, budgets: [{usd: 1, window: 1h, on_exced: finish}]}",
        r"queues\.nightly\.budgets\.0\.on_exced: there is no setting 'on_exced' here .* Did you mean 'on_exceed'\?",
    ),
    "the same twice": (
        "{agent: poor, budgets: [{usd: 1, window: 1h}, {usd: 2, window: 60m}]}",
        r"queues\.nightly\.budgets: there are two budgets of usd",
    ),
    "no price": (
        "{agent: till, budgets: [{usd: 1, window: 1h}]}",
        r"the budget of queue:nightly \(\$1 in 1h\) cannot hold the profile 'till': it names no model",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_with_the_budgets_of_a_queue_is_said_at_the_start(kernel_with, plugins, project, what):
    queue, sentence = WRONG[what]
    (project / ".aegis.yaml").write_text(config("project: []", more=f"queues: {{nightly: {queue}}}"))
    with pytest.raises(ConfigError, match=sentence):
        async with kernel_with(**plugins):
            pass


async def test_budgets_of_a_queue_that_is_not_there_are_a_remark(kernel_with, plugins, budgets):
    budgets("queues: {nightley: [{usd: 1, window: 1h}]}", more="queues: {nightly: {agent: poor}}")
    async with kernel_with(**plugins) as kernel:
        [remark] = kernel.config.remarks
        assert (
            "budgets.queues.nightley: there is no queue 'nightley' (queues: nightly). Did you mean 'nightly'?" in remark
        )
        assert remark.endswith(" It covers nobody.")
        assert await put(kernel)


async def test_each_plugin_goes_on_without_the_other(kernel_with, plugins, budgets, till):
    budgets("queues: {nightly: [{usd: 1, window: 1h}]}", more=f"queues: {{nightly: {CAP}, other: {{agent: poor}}}}")
    async with kernel_with(**{name: p for name, p in plugins.items() if name != "budget"}) as kernel:
        assert [r for r in kernel.config.remarks if "queues.nightly.budgets: nothing here can hold them" in r]
        with pytest.raises(Refused, match="install aegis-budget or remove them"):
            await put(kernel)
        assert await put(kernel, queue="other")
    async with kernel_with(**{name: p for name, p in plugins.items() if name != "queue"}) as kernel:
        assert [r for r in kernel.config.remarks if "budgets.queues.nightly: nothing here has queues" in r]
        await kernel.roster.spawn("poor", "ada")
        assert (await turn(kernel, till, "ada")).outcome == "completed"


async def test_a_model_without_a_price_is_held_by_the_budget_of_its_queue(kernel_with, plugins, budgets):
    budgets("queues: {nightly: [{usd: 1, window: 1h}]}", more="queues: {nightly: {agent: till}}")
    with pytest.raises(ConfigError, match=r"the budget of queue:nightly .* cannot hold the profile 'till'"):
        async with kernel_with(**plugins):
            pass


async def test_without_budgets_handing_over_a_task_reads_no_budgets_and_no_disk(kernel_with, plugins, budgets):
    budgets("project: []", more="queues: {nightly: {agent: poor}}")
    async with kernel_with(**plugins) as kernel:
        await kernel.verbs.call(ANNA, "queue pause", {"queue": "nightly"})
        await put(kernel)
        await settled(kernel)
        with counted() as count:
            await put(kernel)
        assert (count.appends, count.reads) == (1, 0)
        assert set(count.sections) == {"queues", "plugins.queue"}


async def test_a_queue_without_budgets_is_asked_nothing(kernel_with, plugins, budgets, till):
    budgets("project: []", more="queues: {nightly: {agent: poor}}")
    async with kernel_with(**plugins) as kernel:
        task = await put(kernel)
        await settled(kernel)
        await finish(kernel, till, task, 1)
        assert (await state(kernel, task)).outcome == "ok"
        assert await call(kernel, "list") == []


async def test_a_queue_goes_by_its_bare_name_and_is_there_without_a_budget(kernel_with, plugins, budgets):
    budgets("project: []", more=f"queues: {{nightly: {CAP}, free: {{agent: poor}}}}")
    async with kernel_with(**plugins) as kernel:
        await put(kernel)
        sheets = [await call(kernel, "show", scope=name) for name in ("nightly", "queue:nightly")]
        assert [sheet.scope for sheet in sheets] == ["queue:nightly"] * 2
        assert [row.budget for row in sheets[0].budgets] == ["$0.30 in 1h"]
        assert str(await call(kernel, "show", scope="free")).startswith("queue:free has no budget")
        with pytest.raises(NotFound, match=r"no budget of 'nightli' .*Did you mean 'nightly'"):
            await call(kernel, "show", scope="nightli")
        assert (await call(kernel, "status"))["queues"] == [
            {"name": "free", "budgets_count": 0, "status": "no-budget"},
            {"name": "nightly", "budgets_count": 1, "status": "ok"},
        ]
        assert (await call(kernel, "status", queue="free"))["allowed"]
        with pytest.raises(NotFound, match=r"no queue 'fre' \(queues: free, nightly\)"):
            await call(kernel, "status", queue="fre")


async def test_a_profile_with_a_budget_goes_by_its_bare_name(kernel_with, plugins, budgets):
    budgets("profiles: {poor: [{usd: 1, window: 1h}]}")
    async with kernel_with(**plugins) as kernel:
        assert (await call(kernel, "show", scope="poor")).scope == "profile:poor"
