"""What a queue does for a task it does for whoever enqueued it: whose act it is travels, also over a restart."""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import pytest
from player_driver import Players, begin, done, killed
from queue_stage import ANNA, Queues

import aegis_queue.plugin
import aegis_queue.task
from aegis import Caller, Work, hookimpl, open_kernel, verb

SET = ("enqueue", "task *", "queue *", "report")
LEAD = f"agents:\n  lead: {{provider: player, verbs: {list(SET)}}}\n"
CONFIG = f"{LEAD}queues: {{one: {{agent: lead}}}}\n"


class Watcher:
    """Sees who is said to act, at every point at which a queue does something for a task."""

    name = "watcher"

    def __init__(self) -> None:
        self.seen: dict[str, Caller] = {}

    async def admit(self, work: Work) -> None:
        self.seen["asks" if work.only_ask else "admits"] = work.caller

    async def before_spawn(self, by: Caller, profile: str, handle: str) -> None:
        if by.kind == "queue":
            self.seen["starts"] = by

    @verb("last-words", for_={"program"})
    async def last_words(self, caller: Caller, handle: str) -> str:
        """Return the last words of an agent."""
        self.seen["reads"] = caller
        return "I was at it"

    @verb("records turns", for_={"program"})
    async def record_of_turns(self, caller: Caller, handle: str, turns: int) -> str:
        """Return what an agent did."""
        self.seen["shows"] = caller
        return "it did this"

    @hookimpl
    def aegis_interceptors(self):
        return [self]


@pytest.fixture
def life(environment, clock):
    """Return a function that opens a kernel on a folder."""

    @asynccontextmanager
    async def opened(folder, players: Players, watcher: Watcher):
        plugins = {"player": players, "queue": aegis_queue.plugin, "watcher": watcher}
        async with open_kernel(folder, plugins=plugins, clock=clock, environment=environment) as kernel:
            yield Queues(kernel, players)

    return opened


async def test_an_agent_is_behind_all_that_is_done_for_its_task(life, project, tmp_path):
    (project / ".aegis.yaml").write_text(CONFIG)
    players, watcher = Players(), Watcher()
    async with life(project, players, watcher) as queues:
        lead = await queues.kernel.roster.spawn("lead", "lead", by=ANNA)
        caller = msgspec.structs.replace(queues.kernel.roster.caller(lead), trace="the request", hops=3)
        players.otherwise = begin
        task = await queues.put("work", caller)
        await queues.settled()
        wanted = Caller(
            "queue", "one", lead.id, "the request", 3, SET, "program", via=("queue",), on_behalf_of="agent:lead"
        )  # fmt: skip
        assert watcher.seen == {"asks": wanted, "admits": wanted, "starts": wanted}
        [worker] = queues.workers()
        assert (worker.started_by, worker.by) == (wanted, "queue:one")
        [letter] = [x.envelope for x in queues.kernel.post.letters(worker.id)]
        assert (letter.sender, letter.trace, letter.hops) == ("agent:lead", "the request", 4)
        await queues.call("task logs", caller, task_id=task)
        assert watcher.seen["shows"] == wanted
        copy = killed(project, tmp_path / "copy")
    second = Watcher()
    again = Players()
    again.kept = players.kept
    async with life(copy, again, second) as queues:
        assert (await queues.end(task)).outcome == "interrupted"
        assert second.seen == {"reads": wanted}, "also after a restart"


async def test_a_task_that_waited_over_a_restart_is_still_its_callers(life, project, tmp_path):
    (project / ".aegis.yaml").write_text(CONFIG)
    players = Players()
    async with life(project, players, Watcher()) as queues:
        lead = await queues.kernel.roster.spawn("lead", "lead", by=ANNA)
        await queues.call("queue pause", queue="one")
        run = queues.kernel.roster.caller(lead).through("workflow", "run-1")
        task = await queues.put("work", run)
        copy = killed(project, tmp_path / "copy")
    again, watcher = Players(), Watcher()
    again.kept, again.otherwise = players.kept, done
    async with life(copy, again, watcher) as queues:
        await queues.call("queue resume", queue="one")
        assert (await queues.end(task)).outcome == "ok"
        by = watcher.seen["starts"]
        assert (by.agent_id, by.principal, by.via, by.verbs) == (lead.id, "agent:lead", ("workflow", "queue"), SET)
        assert watcher.seen["admits"] == by


async def test_what_a_workflow_enqueued_for_an_agent_is_no_callback_to_it_and_yet_its_own(life, project):
    (project / ".aegis.yaml").write_text(CONFIG)
    async with life(project, Players(), Watcher()) as queues:
        lead, other = [await queues.kernel.roster.spawn("lead", name, by=ANNA) for name in ("lead", "other")]
        await queues.call("queue pause", queue="one")
        run = queues.kernel.roster.caller(lead).through("workflow", "run-1")
        enqueued = await queues.call("enqueue", run, queue="one", payload="work")
        assert not enqueued.callback
        with pytest.raises(Exception, match="agent:other may cancel the tasks it handed over"):
            await queues.call("task cancel", other, task_id=enqueued.task_id)
        await queues.call("task cancel", run, task_id=enqueued.task_id)


def test_a_task_of_a_version_that_kept_no_caller_is_its_enqueuers():
    old = {"task_id": "1", "queue": "one", "payload": "x", "enqueued_at": "", "trace": "t", "hops": 2}
    task = msgspec.convert(old | {"enqueued_by": "agent:eve", "address": "01eve"}, aegis_queue.task.Task)
    assert task.owner == Caller("agent", "eve", "01eve", "t", 2)
    assert task.queue_caller.principal == "agent:eve"
