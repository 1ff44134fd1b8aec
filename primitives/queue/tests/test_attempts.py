"""What is tried again, when, how often, and by whom."""

from __future__ import annotations

import pytest
import trio
from queue_stage import House
from troupe import Troupe, begin, crash, done, failing, mute

import aegis_queue.plugin
from aegis import AegisError, LaunchError, Refused

OVERLOADED = failing("API Error: 529 overloaded_error")


@pytest.fixture
def echo() -> Troupe:
    return Troupe()


@pytest.fixture
def config() -> str:
    return ""


@pytest.fixture
def plugins(echo, project, config):
    queues = f"queues:\n  one: {{agent: player, retries: 2{config}}}\n  once: {{agent: player}}\n"
    (project / ".aegis.yaml").write_text(queues)
    return {"players": echo, "queue": aegis_queue.plugin}


@pytest.fixture
def troupe(echo) -> Troupe:
    return echo


def begun(troupe: Troupe) -> list[int]:
    """Return when the payload was read, in whole seconds."""
    return [round(at) for _, _, at in troupe.heard]


def workers(troupe: Troupe) -> int:
    """Return how many different workers were opened."""
    return len({agent for agent, _ in troupe.opened})


CAUSES = {
    "the model": failing("the context is too long"),
    "a crash in the turn": crash,
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_failed_attempt_is_repeated_after_a_pause_that_doubles(house: House, troupe, autojump, cause):
    troupe.otherwise = CAUSES[cause]
    status = await house.end(await house.put("work"))
    assert (status.status, status.outcome, status.attempt) == ("failed", "error", 3)
    assert begun(troupe) == pytest.approx([0, 5, 15], abs=1)
    assert workers(troupe) == 3, "every attempt has a worker of its own"
    [letter] = house.mail()
    assert "error after 3 attempts: " in letter
    await house.settled()
    assert house.workers() == []
    assert troupe.players == {}


async def test_a_cli_that_does_not_start_is_an_attempt(house: House, troupe, autojump):
    troupe.openings = [LaunchError("there is no such command") for _ in range(3)]
    status = await house.end(await house.put("work"))
    assert (status.outcome, status.attempt) == ("error", 3)
    assert "there is no such command" in status.error
    assert [round(at) for _, at in troupe.opened] == pytest.approx([0, 5, 15], abs=1)
    assert troupe.heard == []
    assert len(house.mail()) == 1


async def test_the_attempt_that_works_is_the_one_that_counts(house: House, troupe, autojump):
    troupe.playbook = [failing("no"), done]
    task = await house.put("work")
    await house.settled()
    await trio.sleep(1)
    between = await house.status(task)
    assert (between.status, between.worker, between.error) == ("pending", "", "attempt 1 error: no")
    status = await house.end(task)
    assert (status.status, status.outcome, status.attempt, status.error) == ("completed", "ok", 2, "")
    [row] = [row for row in await house.call("queue list") if row.name == "one"]
    assert (row.pending, row.running, row.completed, row.failed) == (0, 0, 1, 0)
    assert len(house.mail()) == 1


async def test_without_retries_the_first_failure_is_the_end(house: House, troupe):
    troupe.otherwise = crash
    status = await house.end(await house.put("work", queue="once"))
    assert (status.status, status.outcome, status.attempt) == ("failed", "error", 1)
    assert status.error == "the CLI died: signal 9"
    assert "Its last words:\nI was about to" in house.mail()[0]


@pytest.mark.parametrize("config", [", retry_on: [silent, timed_out]"])
async def test_only_what_retry_on_names_is_repeated(house: House, troupe, autojump):
    troupe.playbook = [mute, done]
    status = await house.end(await house.put("work"))
    assert (status.outcome, status.attempt) == ("ok", 2)
    troupe.playbook = [failing("no"), done]
    status = await house.end(await house.put("work"))
    assert (status.outcome, status.attempt) == ("error", 1)


async def test_each_attempt_has_the_whole_time(house: House, troupe, autojump):
    troupe.otherwise = begin
    status = await house.end(await house.put("work", timeout=20))
    assert (status.outcome, status.attempt, status.error) == ("timed_out", 3, "it took longer than 20 s")
    assert begun(troupe) == pytest.approx([0, 25, 55], abs=2)
    assert "Its last words:\none moment" in house.mail()[0]
    await house.settled()
    assert troupe.players == {}


async def test_a_result_that_was_handed_in_counts_though_the_turn_does_not_end(house: House, troupe, autojump):
    troupe.otherwise = begin
    task = await house.put("work", timeout=20)
    await house.settled()
    [worker] = house.workers()
    await house.call("report", worker, result="all of it")
    status = await house.end(task)
    assert (status.outcome, status.result, status.attempt) == ("ok", "all of it", 1)


async def test_when_the_provider_is_overloaded_the_same_worker_goes_on_later(house: House, troupe, autojump):
    troupe.playbook = [OVERLOADED, OVERLOADED, done]
    status = await house.end(task := await house.put("work"))
    assert (status.outcome, status.attempt) == ("ok", 1)
    assert workers(troupe) == 1
    assert begun(troupe) == pytest.approx([0, 30, 90], abs=1)
    assert f"Go on with task#{task} where you were" in troupe.heard[1][1]
    assert "work" not in troupe.heard[1][1].splitlines()[2:]


async def test_a_worker_closed_while_its_provider_rests_gives_its_place_back_at_once(house: House, troupe):
    troupe.playbook = [OVERLOADED]
    task, other = await house.put("work", queue="once"), await house.put("other", queue="once")
    await house.settled()
    assert (await house.status(task)).status == "running"
    await house.kernel.roster.close(house.workers()[0], "closed by human:anna")
    assert (await house.end(task)).outcome == "cancelled"
    assert (await house.end(other)).outcome == "ok"


async def test_a_provider_that_stays_overloaded_is_an_error_in_the_end(house: House, troupe, autojump):
    troupe.otherwise = OVERLOADED
    status = await house.end(await house.put("work", queue="once"))
    assert (status.outcome, status.attempt) == ("error", 1)
    assert len(troupe.heard) == 7
    assert "529" in status.error


@pytest.mark.parametrize("config", [", on_overload: fail"])
async def test_overload_can_be_an_attempt_like_any_other(house: House, troupe, autojump):
    troupe.playbook = [OVERLOADED, done]
    status = await house.end(await house.put("work"))
    assert (status.outcome, status.attempt) == ("ok", 2)
    assert workers(troupe) == 2


async def test_a_task_that_waits_for_its_next_attempt_can_be_cancelled(house: House, troupe, autojump):
    troupe.otherwise = failing("no")
    task = await house.put("work")
    await house.settled()
    assert (await house.status(task)).status == "pending"
    await house.call("task cancel", task_id=task)
    status = await house.status(task)
    assert (status.status, status.attempt) == ("cancelled", 1)
    await trio.sleep(60)
    assert len(troupe.heard) == 1
    assert len(house.mail()) == 1


async def test_cancelled_at_the_moment_it_fails_it_is_cancelled_for_good(house: House, troupe, autojump):
    troupe.playbook = [begin]
    task = await house.put("work")
    await house.settled()
    [player] = troupe.players.values()
    failing("no")(player, "")
    while not house.kernel.ledger.book("mail").newest("ended", 1):  # its next attempt is being recorded
        await trio.lowlevel.checkpoint()
    assert await house.call("task cancel", task_id=task) == f"task {task} is cancelled"
    await trio.sleep(60)
    assert (await house.status(task)).status == "cancelled"
    assert len(house.mail()) == 1


async def test_closed_by_somebody_is_no_reason_to_try_again(house: House, troupe):
    troupe.otherwise = begin
    task = await house.put("work")
    await house.settled()
    [worker] = house.workers()
    await house.kernel.roster.close(worker, "closed by human:anna")
    status = await house.end(task)
    assert (status.status, status.outcome, status.error) == ("cancelled", "cancelled", "closed by human:anna")
    assert len(house.mail()) == 1


async def test_of_two_who_put_it_back_at_once_one_does(house: House, troupe):
    troupe.otherwise = crash
    task = await house.put("work", queue="once")
    await house.end(task)
    troupe.otherwise, troupe.heard = done, []
    refused = []

    async def retry() -> None:
        try:
            await house.call("task retry", task_id=task)
        except Refused as refusal:
            refused.append(str(refusal))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(retry)
    assert (await house.end(task)).status == "completed"
    await house.settled()
    assert len(refused) == 2
    assert len(troupe.heard) == 1


async def test_a_retry_is_still_to_come_to_the_agent_that_asked(house: House, troupe):
    lead = await house.kernel.roster.spawn("player", "lead")
    troupe.playbook = [crash, done, begin]
    task = await house.put("work", lead, queue="once")
    await house.end(task)
    await house.settled()
    assert lead.expecting == {}
    await house.call("task retry", lead, task_id=task)
    assert f"task {task}" in lead.expecting
    await house.settled()
    assert (await house.status(task)).status == "running"


async def test_a_retry_does_not_tie_the_knot_that_was_refused_before(house: House, troupe):
    troupe.playbook = [begin]
    await house.put("work", queue="once")
    await house.settled()
    [worker] = house.workers()
    await house.call("queue pause", queue="one")
    child = await house.put("child", worker, queue="one")
    await house.call("task cancel", worker, task_id=child)
    await house.call("queue resume", queue="one")
    troupe.playbook = [begin]
    await house.put("other", queue="one")
    await house.settled()
    other = next(a for a in house.workers() if a is not worker)
    grandchild = await house.put("x", other, queue="one", delay=1000, callback=False)
    await house.call("task cancel", other, task_id=grandchild)
    assert (await house.call("task retry", other, task_id=grandchild)).task_id == grandchild, "nobody waits for it"


async def test_a_place_is_taken_until_the_worker_is_gone(house: House, troupe):
    """The same task, cancelled and wanted again, has no second worker beside the one that still closes."""
    troupe.otherwise = begin
    task = await house.put("work", queue="once")
    await house.settled()
    seen: list[int] = []
    house.kernel.ledger.on_commit(lambda records: seen.append(len(house.workers())))
    for _ in range(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: house.call("task cancel", task_id=task))
            with pytest.raises(AegisError, match="cancelled by human:anna"):
                await house.call("task wait", task_id=task)
            await house.call("task retry", task_id=task)
        await house.settled()
    assert max(seen) == 1
    assert (await house.status(task)).status == "running"
    assert len(troupe.opened) > 1, "it did begin again"
