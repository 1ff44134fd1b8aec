"""Aegis dies, and starts again: a task in each of its stages goes on where it was, and ends once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from queue_stage import House
from troupe import Troupe, begin, done, hang, killed

import aegis_queue.plugin
from aegis import Caller, verb
from aegis.app import open_kernel

CONFIG = "queues:\n  one: {{agent: player, retries: {retries}}}\n  two: {{agent: player, max_parallel: 2}}\n"
INTERRUPTED = "aegis stopped while this turn ran"


@pytest.fixture
def retries() -> int:
    return 0


@pytest.fixture
def open_house(project, environment, clock, retries):
    """Return a function that opens a house on a project: the next life of aegis there."""
    (project / ".aegis.yaml").write_text(CONFIG.format(retries=retries))

    @asynccontextmanager
    async def opened(folder=project, troupe=None, **more):
        troupe = troupe or Troupe()
        plugins = {"players": troupe, "queue": aegis_queue.plugin}
        async with open_kernel(folder, plugins=plugins, clock=clock, environment=environment, **more) as kernel:
            yield House(kernel, troupe), troupe

    return opened


async def lived(open_house, troupe=None, **args) -> str:
    """Have a whole life in which one task was done, and return the task."""
    async with open_house(troupe=troupe) as (house, _):
        task = await house.put("work", **args)
        await house.end(task)
        await house.settled()
        return task


def kept(first: Troupe) -> Troupe:
    """Return the troupe of the next life, whose CLIs remember their sessions."""
    troupe = Troupe()
    troupe.kept = first.kept
    return troupe


# Where it died → how often the payload is read in the next life, and whether by the worker that was there.
STAGES = {
    "handed over": ("queue", "enqueued", 1, False),
    "hired": ("roster", "session", 1, False),
    "not read": ("queue", "dispatched", 1, True),
    "read": ("mail", "injected", 0, True),
    "answered": ("mail", "ended", 0, True),
    "over": ("queue", "completed", 0, True),
    "gone": ("roster", "closed", 0, True),
}


@pytest.mark.parametrize("stage", STAGES)
async def test_a_task_goes_on_where_it_was(open_house, project, tmp_path, stage):
    book, kind, times, same = STAGES[stage]
    troupe = Troupe()
    task = await lived(open_house, troupe)
    copy = killed(project, tmp_path / "copy", book, kind)
    async with open_house(copy, second := kept(troupe)) as (house, _):
        status = await house.end(task)
        await house.settled()
        assert len(second.heard) == times
        assert {agent for agent, _ in second.opened} <= ({troupe.opened[0][0]} if same else {second.heard[0][0]})
        if stage == "read":
            assert (status.status, status.outcome, status.error) == ("failed", "interrupted", INTERRUPTED)
        else:
            assert (status.status, status.outcome, status.result) == ("completed", "ok", "done")
        assert status.attempt == 1
        assert len(house.mail()) == 1
        assert house.workers() == []
        assert [c for c in house.kernel.supervisor.children if c.startswith("agent:")] == []
        assert await house.put("next") and not house.kernel.faults


@pytest.mark.parametrize("retries", [1])
async def test_what_was_read_is_tried_again_if_the_queue_says_so(open_house, project, tmp_path, autojump):
    troupe = Troupe()
    task = await lived(open_house, troupe)
    async with open_house(killed(project, tmp_path / "copy", "mail", "injected"), kept(troupe)) as (house, second):
        status = await house.end(task)
        assert (status.outcome, status.attempt) == ("ok", 2)
        assert len(second.heard) == 1
        assert second.heard[0][0] != troupe.heard[0][0], "by another worker"
        assert len(house.mail()) == 1


async def test_one_more_chance_is_one_also_after_a_restart(open_house, project, tmp_path):
    """Aegis died after the answer to the repair had come, before that was judged."""
    troupe = Troupe()
    async with open_house(troupe=troupe) as (house, _):
        task = await house.put("work", result_schema={"type": "object"})
        assert (await house.end(task)).outcome == "error"
        assert len(troupe.heard) == 2
    copy = killed(project, tmp_path / "copy", "mail", "ended", 2)
    async with open_house(copy, second := kept(troupe)) as (house, _):
        status = await house.end(task)
        assert (status.outcome, second.heard) == ("error", [])
        assert status.error.endswith(", also when it was asked again")


async def test_the_answer_is_that_of_the_last_turn(open_house, project, tmp_path):
    """Aegis died after the worker had read what came of its own task, before that was recorded as the result."""
    troupe = Troupe()
    async with open_house(troupe=troupe) as (house, _):
        troupe.playbook = [begin]
        task = await house.put("work", queue="two")
        await house.settled()
        [worker] = house.workers()
        await house.put("child", worker, queue="two")
        troupe.otherwise = done
        done(troupe.players[worker.id], "")
        await house.end(task)
        await house.settled()
    troupe.otherwise = hang
    # ended: the child's turn and the worker's first one, in whichever order, then the one that read the callback
    copy = killed(project, tmp_path / "copy", "mail", "ended", 3)
    async with open_house(copy, second := kept(troupe)) as (house, _):
        status = await house.end(task)
        assert (status.outcome, status.result) == ("ok", "done")
        assert second.heard == []


async def test_a_planned_restart_interrupts_by_name_and_begins_nothing_on_its_way_out(open_house, project):
    troupe = Troupe()
    troupe.otherwise = begin
    async with open_house(troupe=troupe) as (house, _):
        running, waiting = await house.put("running"), await house.put("waiting")
        await house.settled()
    assert len(troupe.heard) == 1, "no place is given to the next one while aegis stops"
    async with open_house(troupe=kept(troupe)) as (house, second):
        status = await house.end(running)
        assert (status.status, status.outcome, status.error) == ("failed", "interrupted", INTERRUPTED)
        assert (await house.end(waiting)).outcome == "ok"
        assert len(second.heard) == 1
        assert [letter.splitlines()[2:] for letter in house.mail()] == [
            [f"interrupted: {INTERRUPTED}", "", "Its last words:", "one moment"], ["done"]
        ]  # fmt: skip


async def test_a_clean_start_ends_what_was_at_work(open_house):
    troupe = Troupe()
    troupe.otherwise = hang
    async with open_house(troupe=troupe) as (house, _):
        task = await house.put("work")
        await house.settled()
    async with open_house(clean=True) as (house, second):
        status = await house.end(task)
        assert (status.status, status.outcome) == ("cancelled", "cancelled")
        assert "started clean" in status.error
        assert second.heard == []


class Fragile:
    """What stands in for aegis-budget and falls over once."""

    name = "fragile"
    asked = 0

    @verb("budget admit", callers=frozenset({"queue"}))
    async def admit(
        self, caller: Caller, task: str, queue: str, profile: str, budgets: list[Any], check: bool = False
    ) -> None:
        """Fall over the first time that a task is to begin."""
        self.asked += not check
        if self.asked == 1 and not check:
            raise RuntimeError("budget admit fell")


async def test_a_crash_of_the_desk_is_no_crash_of_the_workers(open_house, autojump):
    troupe = Troupe()
    troupe.otherwise = begin
    async with open_house(troupe=troupe) as (house, _):
        tasks = [await house.put(str(n), queue="two") for n in range(3)]
        await house.settled()
        troupe.otherwise = done
        house.kernel.verbs.add("fragile", fragile := Fragile())
        tasks.append(await house.put("x"))
        await house.settled()
        assert "budget admit fell" in house.kernel.faults[0].error
        assert fragile.asked == 1
        assert len(house.workers()) == 2
        await trio.sleep(1)
        assert fragile.asked == 2, "the desk is back"
        for player in list(troupe.players.values()):
            done(player, "")
        assert [(await house.end(task)).outcome for task in tasks] == ["ok"] * 4
        assert len(troupe.heard) == 4
        assert len(house.mail()) == 4


async def test_counts_are_the_same_after_a_restart(open_house, project, tmp_path):
    troupe = Troupe()
    async with open_house(troupe=troupe) as (house, _):
        for n in range(5):
            await house.end(await house.put(str(n)))
        await house.call("queue pause", queue="two")
        cancelled = await house.put("x", queue="two")
        await house.call("task cancel", task_id=cancelled)
        await house.put("y", queue="two")
        again = await house.put("z", queue="two")
        await house.call("task cancel", task_id=again)
        await house.call("task retry", task_id=again)
        await house.settled()
        before = await house.call("queue list"), await house.call("task list")
    async with open_house() as (house, _):
        assert (await house.call("queue list"), await house.call("task list")) == before
        [one, two] = before[0]
        assert (one.completed, two.pending, two.cancelled, two.mode) == (5, 2, 1, "paused")


async def test_the_time_of_an_attempt_goes_on_across_a_restart(open_house, autojump):
    troupe = Troupe()
    troupe.otherwise = hang
    async with open_house(troupe=troupe) as (house, _):
        task = await house.put("work", timeout=100)
        await house.settled()
        await trio.sleep(60)
    second = kept(troupe)
    second.otherwise = hang
    async with open_house(troupe=second) as (house, _):
        began = trio.current_time()
        assert (await house.end(task)).outcome == "timed_out"
        assert 35 <= trio.current_time() - began <= 45
