"""Aegis dies, and starts again: a task in each of its stages goes on where it was, and ends once."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress

import pytest
import trio
from books import books
from player_driver import Players, begin, done, hang, killed
from queue_stage import Queues

import aegis_queue.plugin
from aegis import hookimpl
from aegis.app import open_kernel
from aegis.events import Text, TurnEnded
from aegis_queue.store import LedgerBroker
from aegis_queue.task import Task

CONFIG = "queues:\n  one: {{agent: player, retries: {retries}}}\n  two: {{agent: player, max_parallel: 2}}\n"
INTERRUPTED = "aegis stopped while this turn ran"


@pytest.fixture
def retries() -> int:
    return 0


@pytest.fixture
def open_queues(project, environment, clock, retries):
    """Return a function that opens a kernel with queues on a project: the next life of aegis there."""
    (project / ".aegis.yaml").write_text(CONFIG.format(retries=retries))

    @asynccontextmanager
    async def opened(folder=project, players=None, fragile=None, **more):
        players = players or Players()
        plugins = {"player": players, "queue": aegis_queue.plugin} | ({"fragile": fragile} if fragile else {})
        async with open_kernel(folder, plugins=plugins, clock=clock, environment=environment, **more) as kernel:
            yield Queues(kernel, players), players

    return opened


async def lived(open_queues, players=None, **args) -> str:
    """Have a whole life in which one task was done, and return the task."""
    async with open_queues(players=players) as (queues, _):
        task = await queues.put("work", **args)
        await queues.end(task)
        await queues.settled()
        return task


def kept(first: Players) -> Players:
    """Return the players of the next life, whose CLIs remember their sessions."""
    players = Players()
    players.kept = first.kept
    return players


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
async def test_a_task_goes_on_where_it_was(open_queues, project, tmp_path, stage):
    book, kind, times, same = STAGES[stage]
    players = Players()
    task = await lived(open_queues, players)
    copy = killed(project, tmp_path / "copy", book, kind)
    async with open_queues(copy, second := kept(players)) as (queues, _):
        status = await queues.end(task)
        await queues.settled()
        assert len(second.heard) == times
        assert {agent for agent, _ in second.opened} <= ({players.opened[0][0]} if same else {second.heard[0][0]})
        if stage == "read":
            assert (status.status, status.outcome, status.error) == ("failed", "interrupted", INTERRUPTED)
        else:
            assert (status.status, status.outcome, status.result) == ("completed", "ok", "done")
        assert status.attempt == 1
        assert len(queues.mail()) == 1
        assert queues.workers() == []
        assert [c for c in queues.kernel.supervisor.children if c.startswith("agent:")] == []
        assert await queues.put("next") and not queues.kernel.faults


@pytest.mark.parametrize("retries", [1])
async def test_what_was_read_is_tried_again_if_the_queue_says_so(open_queues, project, tmp_path, autojump):
    players = Players()
    task = await lived(open_queues, players)
    async with open_queues(killed(project, tmp_path / "copy", "mail", "injected"), kept(players)) as (queues, second):
        status = await queues.end(task)
        assert (status.outcome, status.attempt) == ("ok", 2)
        assert len(second.heard) == 1
        assert second.heard[0][0] != players.heard[0][0], "by another worker"
        assert len(queues.mail()) == 1


async def test_a_task_whose_worker_has_no_driver_any_more_was_interrupted(
    open_queues, project, tmp_path, environment, clock
):
    players = Players()
    task = await lived(open_queues, players)
    copy = killed(project, tmp_path / "copy", "mail", "injected")
    plugins = {"queue": aegis_queue.plugin}
    async with open_kernel(copy, plugins=plugins, clock=clock, environment=environment) as kernel:
        queues = Queues(kernel, players)
        status = await queues.end(task)
        assert (status.status, status.outcome) == ("failed", "interrupted")
        assert "its worker cannot come back: there is no profile 'player'" in status.error
        await queues.settled()
        assert len(queues.mail()) == 1


async def test_one_more_chance_is_one_also_after_a_restart(open_queues, project, tmp_path):
    """Aegis died after the answer to the repair had come, before that was judged."""
    players = Players()
    async with open_queues(players=players) as (queues, _):
        task = await queues.put("work", result_schema={"type": "object"})
        assert (await queues.end(task)).outcome == "error"
        assert len(players.heard) == 2
    copy = killed(project, tmp_path / "copy", "mail", "ended", 2)
    async with open_queues(copy, second := kept(players)) as (queues, _):
        status = await queues.end(task)
        assert (status.outcome, second.heard) == ("error", [])
        assert status.error.endswith(", also when it was asked again")


async def test_a_schema_that_cannot_be_judged_keeps_no_project_closed(open_queues, project, tmp_path):
    """The worker had answered when aegis died: the first thing that the next one does is to judge it."""
    players = Players()
    async with open_queues(players=players) as (queues, _):
        players.playbook = [lambda player, prompt: player.say(Text("a" * 40 + "!"), TurnEnded("completed"))]
        task = await queues.put("work", result_schema={"type": "string", "pattern": "(?=a)(a+)+$"})
        assert (await queues.end(task)).outcome == "error"
    copy = killed(project, tmp_path / "copy", "mail", "ended", 1)
    async with open_queues(copy, kept(players)) as (queues, _):
        status = await queues.end(task)
        assert status.outcome == "error"
        assert "cannot be judged within 1 s" in status.error


async def test_the_answer_is_that_of_the_last_turn(open_queues, project, tmp_path):
    """Aegis died after the worker had read what came of its own task, before that was recorded as the result."""
    players = Players()
    async with open_queues(players=players) as (queues, _):
        players.playbook = [begin]
        task = await queues.put("work", queue="two")
        await queues.settled()
        [worker] = queues.workers()
        await queues.put("child", worker, queue="two")
        players.otherwise = done
        done(players.sessions[worker.id], "")
        await queues.end(task)
        await queues.settled()
    players.otherwise = hang
    # ended: the child's turn and the worker's first one, in whichever order, then the one that read the callback
    copy = killed(project, tmp_path / "copy", "mail", "ended", 3)
    async with open_queues(copy, second := kept(players)) as (queues, _):
        status = await queues.end(task)
        assert (status.outcome, status.result) == ("ok", "done")
        assert second.heard == []


async def test_a_planned_restart_interrupts_by_name_and_begins_nothing_on_its_way_out(open_queues, project):
    players = Players()
    players.otherwise = begin
    async with open_queues(players=players) as (queues, _):
        running, waiting = await queues.put("running"), await queues.put("waiting")
        await queues.settled()
    assert len(players.heard) == 1, "no place is given to the next one while aegis stops"
    async with open_queues(players=kept(players)) as (queues, second):
        status = await queues.end(running)
        assert (status.status, status.outcome, status.error) == ("failed", "interrupted", INTERRUPTED)
        assert (await queues.end(waiting)).outcome == "ok"
        assert len(second.heard) == 1
        assert [letter.splitlines()[2:] for letter in queues.mail()] == [
            [f"  interrupted: {INTERRUPTED}", "", "  Its last words:", "  one moment"], ["  done"]
        ]  # fmt: skip


async def test_a_clean_start_ends_what_was_at_work(open_queues):
    players = Players()
    players.otherwise = hang
    async with open_queues(players=players) as (queues, _):
        task = await queues.put("work")
        await queues.settled()
    async with open_queues(clean=True) as (queues, second):
        status = await queues.end(task)
        assert (status.status, status.outcome) == ("cancelled", "cancelled")
        assert "started clean" in status.error
        assert second.heard == []


class Late(LedgerBroker):
    """A broker whose disk answers late, the second time, or once aegis stops: a read in a thread is not cancelled."""

    name, asked = "late", 0

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()

    async def first(self, queue: str, now: str) -> Task | None:
        task = await super().first(queue, now)
        self.asked += task is not None
        if self.asked == 2 and task:
            with suppress(trio.Cancelled):
                await self.gate.wait()
        return task


async def test_what_the_disk_answers_while_aegis_stops_begins_nothing(open_queues, project):
    (project / ".aegis.yaml").write_text(f"plugins: {{queue: {{broker: late}}}}\n{CONFIG.format(retries=0)}")
    players, late = Players(), FragilePlugin(Late())
    players.otherwise = begin
    async with open_queues(players=players, fragile=late) as (queues, _):
        running, waiting = await queues.put("running", queue="two"), await queues.put("waiting", queue="two")
        await queues.settled()
        assert late.broker.asked == 2
    assert len(players.opened) == 1
    fates = books(project).fates
    assert (fates[running].begun, fates[waiting].begun) == (1, 0)


async def test_what_the_disk_answers_after_a_worker_was_cut_off_waits_whether_aegis_stops(open_queues, project, clock):
    (project / ".aegis.yaml").write_text(f"plugins: {{queue: {{broker: late}}}}\n{CONFIG.format(retries=0)}")
    players, late = Players(), FragilePlugin(Late())
    players.otherwise = begin
    async with open_queues(players=players, fragile=late) as (queues, _):
        running, waiting = await queues.put("running", queue="two"), await queues.put("waiting", queue="two")
        await queues.settled()
        clock.trio.rate = 0
        await queues.kernel.supervisor.stop(f"agent:{queues.workers()[0].id}")
        assert (await queues.end(running)).outcome == "interrupted"
        await queues.settled()
        late.broker.gate.set()
        await queues.settled()
        assert (await queues.status(waiting)).status == "pending"
        clock.trio.rate = 1
        clock.jump(4)
        await queues.settled()
        assert (await queues.status(waiting)).status == "running"


class Fragile(LedgerBroker):
    """A broker that falls over once."""

    name, fall = "fragile", False

    async def first(self, queue: str, now: str) -> Task | None:
        if self.fall:
            self.fall = False
            raise RuntimeError("the broker fell")
        return await super().first(queue, now)


class FragilePlugin:
    def __init__(self, broker: LedgerBroker | None = None) -> None:
        self.broker = broker or Fragile()

    @hookimpl(optionalhook=True)
    def aegis_brokers(self):
        return [self.broker]


async def test_a_crash_of_the_dispatcher_is_no_crash_of_the_workers(open_queues, project, autojump):
    (project / ".aegis.yaml").write_text(f"plugins: {{queue: {{broker: fragile}}}}\n{CONFIG.format(retries=0)}")
    players, fragile = Players(), FragilePlugin()
    players.otherwise = begin
    async with open_queues(players=players, fragile=fragile) as (queues, _):
        tasks = [await queues.put(str(n), queue="two") for n in range(3)]
        await queues.settled()
        players.otherwise = done
        fragile.broker.fall = True
        tasks.append(await queues.put("x"))
        await queues.settled()
        assert "the broker fell" in queues.kernel.faults[0].error
        assert len(queues.workers()) == 2
        await trio.sleep(1)
        for player in list(players.sessions.values()):
            done(player, "")
        assert [(await queues.end(task)).outcome for task in tasks] == ["ok"] * 4
        assert len(players.heard) == 4
        assert len(queues.mail()) == 4


async def test_counts_are_the_same_after_a_restart(open_queues, project, tmp_path):
    players = Players()
    async with open_queues(players=players) as (queues, _):
        for n in range(5):
            await queues.end(await queues.put(str(n)))
        await queues.call("queue pause", queue="two")
        cancelled = await queues.put("x", queue="two")
        await queues.call("task cancel", task_id=cancelled)
        await queues.put("y", queue="two")
        again = await queues.put("z", queue="two")
        await queues.call("task cancel", task_id=again)
        await queues.call("task retry", task_id=again)
        await queues.settled()
        before = await queues.call("queue list"), await queues.call("task list")
    async with open_queues() as (queues, _):
        assert (await queues.call("queue list"), await queues.call("task list")) == before
        [one, two] = before[0]
        assert (one.completed, two.pending, two.cancelled, two.mode) == (5, 2, 1, "paused")


async def test_the_time_of_an_attempt_goes_on_across_a_restart(open_queues, autojump):
    players = Players()
    players.otherwise = hang
    async with open_queues(players=players) as (queues, _):
        task = await queues.put("work", timeout=100)
        await queues.settled()
        await trio.sleep(60)
    second = kept(players)
    second.otherwise = hang
    async with open_queues(players=second) as (queues, _):
        began = trio.current_time()
        assert (await queues.end(task)).outcome == "timed_out"
        assert 35 <= trio.current_time() - began <= 45
