"""What is tried again, when, how often, and by whom."""

from __future__ import annotations

import pytest
import trio
from player_driver import Players, begin, crash, done, failing, mute
from queue_stage import Queues

import aegis_queue.plugin
from aegis import AegisError, LaunchError, Refused

OVERLOADED = failing("API Error: 529 overloaded_error")


@pytest.fixture
def echo() -> Players:
    return Players()


@pytest.fixture
def config() -> str:
    return ""


@pytest.fixture
def plugins(echo, project, config):
    queues = f"queues:\n  one: {{agent: player, retries: 2{config}}}\n  once: {{agent: player}}\n"
    (project / ".aegis.yaml").write_text(queues)
    return {"player": echo, "queue": aegis_queue.plugin}


@pytest.fixture
def players(echo) -> Players:
    return echo


def begun(players: Players) -> list[int]:
    """Return when the payload was read, in whole seconds."""
    return [round(at) for _, _, at in players.heard]


def workers(players: Players) -> int:
    """Return how many different workers were opened."""
    return len({agent for agent, _ in players.opened})


CAUSES = {
    "the model": failing("the context is too long"),
    "a crash in the turn": crash,
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_failed_attempt_is_repeated_after_a_pause_that_doubles(queues: Queues, players, autojump, cause):
    players.otherwise = CAUSES[cause]
    status = await queues.end(await queues.put("work"))
    assert (status.status, status.outcome, status.attempt) == ("failed", "error", 3)
    assert begun(players) == pytest.approx([0, 5, 15], abs=1)
    assert workers(players) == 3, "every attempt has a worker of its own"
    [letter] = queues.mail()
    assert "error after 3 attempts: " in letter
    await queues.settled()
    assert queues.workers() == []
    assert players.sessions == {}


async def test_a_cli_that_does_not_start_is_an_attempt(queues: Queues, players, autojump):
    players.openings = [LaunchError("there is no such command") for _ in range(3)]
    status = await queues.end(await queues.put("work"))
    assert (status.outcome, status.attempt) == ("error", 3)
    assert "there is no such command" in status.error
    assert [round(at) for _, at in players.opened] == pytest.approx([0, 5, 15], abs=1)
    assert players.heard == []
    assert len(queues.mail()) == 1


async def test_the_attempt_that_works_is_the_one_that_counts(queues: Queues, players, autojump):
    players.playbook = [failing("no"), done]
    task = await queues.put("work")
    await queues.settled()
    await trio.sleep(1)
    between = await queues.status(task)
    assert (between.status, between.worker, between.error) == ("pending", "", "attempt 1 error: no")
    status = await queues.end(task)
    assert (status.status, status.outcome, status.attempt, status.error) == ("completed", "ok", 2, "")
    [row] = [row for row in await queues.call("queue list") if row.name == "one"]
    assert (row.pending, row.running, row.completed, row.failed) == (0, 0, 1, 0)
    assert len(queues.mail()) == 1


async def test_without_retries_the_first_failure_is_the_end(queues: Queues, players):
    players.otherwise = crash
    status = await queues.end(await queues.put("work", queue="once"))
    assert (status.status, status.outcome, status.attempt) == ("failed", "error", 1)
    assert status.error == "the CLI died: signal 9"
    assert "  Its last words:\n  I was about to" in queues.mail()[0]


@pytest.mark.parametrize("config", [", retry_on: [silent, timed_out]"])
async def test_only_what_retry_on_names_is_repeated(queues: Queues, players, autojump):
    players.playbook = [mute, done]
    status = await queues.end(await queues.put("work"))
    assert (status.outcome, status.attempt) == ("ok", 2)
    players.playbook = [failing("no"), done]
    status = await queues.end(await queues.put("work"))
    assert (status.outcome, status.attempt) == ("error", 1)


async def test_each_attempt_has_the_whole_time(queues: Queues, players, autojump):
    players.otherwise = begin
    status = await queues.end(await queues.put("work", timeout=20))
    assert (status.outcome, status.attempt, status.error) == ("timed_out", 3, "it took longer than 20 s")
    assert begun(players) == pytest.approx([0, 25, 55], abs=2)
    assert "  Its last words:\n  one moment" in queues.mail()[0]
    await queues.settled()
    assert players.sessions == {}


async def test_a_result_that_was_handed_in_counts_though_the_turn_does_not_end(queues: Queues, players, autojump):
    players.otherwise = begin
    task = await queues.put("work", timeout=20)
    await queues.settled()
    [worker] = queues.workers()
    await queues.call("report", worker, result="all of it")
    status = await queues.end(task)
    assert (status.outcome, status.result, status.attempt) == ("ok", "all of it", 1)


async def test_when_the_provider_is_overloaded_the_same_worker_goes_on_later(queues: Queues, players, autojump):
    players.playbook = [OVERLOADED, OVERLOADED, done]
    status = await queues.end(task := await queues.put("work"))
    assert (status.outcome, status.attempt) == ("ok", 1)
    assert workers(players) == 1
    assert begun(players) == pytest.approx([0, 30, 90], abs=1)
    assert f"Go on with task#{task} where you were" in players.heard[1][1]
    assert "work" not in players.heard[1][1].splitlines()[2:]


async def test_a_worker_closed_while_its_provider_rests_gives_its_place_back_at_once(queues: Queues, players):
    players.playbook = [OVERLOADED]
    task, other = await queues.put("work", queue="once"), await queues.put("other", queue="once")
    await queues.settled()
    assert (await queues.status(task)).status == "running"
    await queues.kernel.roster.close(queues.workers()[0], "closed by human:anna")
    assert (await queues.end(task)).outcome == "cancelled"
    assert (await queues.end(other)).outcome == "ok"


async def test_a_provider_that_stays_overloaded_is_an_error_in_the_end(queues: Queues, players, autojump):
    players.otherwise = OVERLOADED
    status = await queues.end(await queues.put("work", queue="once"))
    assert (status.outcome, status.attempt) == ("error", 1)
    assert len(players.heard) == 7
    assert "529" in status.error


@pytest.mark.parametrize("config", [", on_overload: fail"])
async def test_overload_can_be_an_attempt_like_any_other(queues: Queues, players, autojump):
    players.playbook = [OVERLOADED, done]
    status = await queues.end(await queues.put("work"))
    assert (status.outcome, status.attempt) == ("ok", 2)
    assert workers(players) == 2


async def test_a_task_that_waits_for_its_next_attempt_can_be_cancelled(queues: Queues, players, autojump):
    players.otherwise = failing("no")
    task = await queues.put("work")
    await queues.settled()
    assert (await queues.status(task)).status == "pending"
    await queues.call("task cancel", task_id=task)
    status = await queues.status(task)
    assert (status.status, status.attempt) == ("cancelled", 1)
    await trio.sleep(60)
    assert len(players.heard) == 1
    assert len(queues.mail()) == 1


async def test_cancelled_at_the_moment_it_fails_it_is_cancelled_for_good(queues: Queues, players, autojump):
    players.playbook = [begin]
    task = await queues.put("work")
    await queues.settled()
    [player] = players.sessions.values()
    failing("no")(player, "")
    while not queues.kernel.ledger.book("mail").newest("ended", 1):  # its next attempt is being recorded
        await trio.lowlevel.checkpoint()
    assert await queues.call("task cancel", task_id=task) == f"task {task} is cancelled"
    await trio.sleep(60)
    assert (await queues.status(task)).status == "cancelled"
    assert len(queues.mail()) == 1


async def test_closed_by_somebody_is_no_reason_to_try_again(queues: Queues, players):
    players.otherwise = begin
    task = await queues.put("work")
    await queues.settled()
    [worker] = queues.workers()
    await queues.kernel.roster.close(worker, "closed by human:anna")
    status = await queues.end(task)
    assert (status.status, status.outcome, status.error) == ("cancelled", "cancelled", "closed by human:anna")
    assert len(queues.mail()) == 1


async def test_of_two_who_put_it_back_at_once_one_does(queues: Queues, players):
    players.otherwise = crash
    task = await queues.put("work", queue="once")
    await queues.end(task)
    players.otherwise, players.heard = done, []
    refused = []

    async def retry() -> None:
        try:
            await queues.call("task retry", task_id=task)
        except Refused as refusal:
            refused.append(str(refusal))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(retry)
    assert (await queues.end(task)).status == "completed"
    await queues.settled()
    assert len(refused) == 2
    assert len(players.heard) == 1


async def test_a_retry_is_still_to_come_to_the_agent_that_asked(queues: Queues, players):
    lead = await queues.kernel.roster.spawn("player", "lead")
    players.playbook = [crash, done, begin]
    task = await queues.put("work", lead, queue="once")
    await queues.end(task)
    await queues.settled()
    assert lead.expecting == {}
    await queues.call("task retry", lead, task_id=task)
    assert f"task {task}" in lead.expecting
    await queues.settled()
    assert (await queues.status(task)).status == "running"


async def test_a_retry_makes_no_deadlock_that_was_refused_before(queues: Queues, players):
    players.playbook = [begin]
    await queues.put("work", queue="once")
    await queues.settled()
    [worker] = queues.workers()
    await queues.call("queue pause", queue="one")
    child = await queues.put("child", worker, queue="one")
    await queues.call("task cancel", worker, task_id=child)
    await queues.call("queue resume", queue="one")
    players.playbook = [begin]
    await queues.put("other", queue="one")
    await queues.settled()
    other = next(a for a in queues.workers() if a is not worker)
    grandchild = await queues.put("x", other, queue="one", delay=1000, callback=False)
    await queues.call("task cancel", other, task_id=grandchild)
    assert (await queues.call("task retry", other, task_id=grandchild)).task_id == grandchild, "nobody waits for it"


async def test_a_place_is_taken_until_the_worker_is_gone(queues: Queues, players):
    """The same task, cancelled and wanted again, has no second worker beside the one that still closes."""
    players.otherwise = begin
    task = await queues.put("work", queue="once")
    await queues.settled()
    seen: list[int] = []
    queues.kernel.ledger.on_commit(lambda records: seen.append(len(queues.workers())))
    for _ in range(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: queues.call("task cancel", task_id=task))
            with pytest.raises(AegisError, match="cancelled by human:anna"):
                await queues.call("task wait", task_id=task)
            await queues.call("task retry", task_id=task)
        await queues.settled()
    assert max(seen) == 1
    assert (await queues.status(task)).status == "running"
    assert len(players.opened) > 1, "it did begin again"
