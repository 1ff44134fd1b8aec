"""Before a task begins the interceptors are asked; held, it waits for what they name, and nobody asks for nothing."""

from __future__ import annotations

import msgspec
import pytest
import trio
from queue_stage import ANNA, Queues

from aegis import Caller, Hold, Refused, Work, hookimpl
from aegis.events import ConfigChanged


class Doorman:
    """Answers as it is told, and remembers what it was asked."""

    name = "doorman"

    def __init__(self) -> None:
        self.answer: Hold | Refused | None = None
        self.asked: list[Work] = []
        self.released: list[str] = []

    async def admit(self, work: Work) -> Hold | None:
        if work.only_ask:
            if isinstance(self.answer, Refused):
                raise self.answer
            return self.answer
        self.asked.append(work)
        if isinstance(self.answer, Refused):
            raise self.answer
        return self.answer

    async def release(self, work: Work) -> None:
        self.released.append(work.id)


@pytest.fixture
async def doorman(queues) -> Doorman:
    one = Doorman()
    queues.kernel.interceptors.add(one)
    return one


async def test_what_asks_is_the_queue_for_who_enqueued(queues: Queues, doorman: Doorman):
    anna = msgspec.structs.replace(ANNA, trace="t1", verbs=("enqueue", "task *"))
    task = await queues.put("work", anna)
    await queues.end(task)
    [work] = doorman.asked
    assert (work.kind, work.id, work.place, work.profile, work.terms) == ("task", task, "one", "echo", {})
    assert work.caller == Caller(
        "queue", "one", trace="t1", verbs=("enqueue", "task *"), class_="program", via=("queue",),
        on_behalf_of="human:anna",
    )  # fmt: skip
    lead = await queues.kernel.roster.spawn("echo", "lead")
    await queues.end(await queues.put("work", lead))
    caller = doorman.asked[-1].caller
    assert (caller.agent_id, caller.principal, str(caller)) == (lead.id, "agent:lead", "queue:one")


async def test_a_held_queue_waits_without_asking_until_its_hold_changes(queues: Queues, doorman: Doorman, autojump):
    hold = doorman.answer = Hold("no room", changed=trio.Event())
    first, second = await queues.put("first"), await queues.put("second")
    await trio.sleep(80_000)
    assert [work.id for work in doorman.asked] == [first], "asked once, whatever time passes"
    assert (await queues.status(first)).held == "no room"
    [row] = [row for row in await queues.call("queue list") if row.name == "one"]
    assert row.held == "no room"
    doorman.answer = None
    hold.changed.set()
    for task in (first, second):
        assert (await queues.end(task)).outcome == "ok"
    assert [work.id for work in doorman.asked] == [first, first, second]
    assert [row.held for row in await queues.call("queue list")] == ["", ""]


async def test_a_held_queue_goes_on_when_its_time_has_come(queues: Queues, doorman: Doorman, autojump):
    began = trio.current_time()
    until = queues.kernel.clock.now().replace(microsecond=0).isoformat().replace("+00:00", "Z").replace("T10:", "T11:")
    doorman.answer = Hold("night", until)
    task = await queues.put("work")
    await trio.sleep(3_000)
    doorman.answer = None
    assert len(doorman.asked) == 1
    assert (await queues.end(task)).outcome == "ok"
    assert 3_599 <= trio.current_time() - began <= 3_661


async def test_what_is_wrong_holds_the_queue_until_somebody_changes_the_configuration(queues: Queues, doorman: Doorman):
    task = await queues.put("work", delay=10)
    doorman.answer = Refused("the price of it is not known")
    queues.kernel.clock.jump(11)
    await queues.settled()
    assert (await queues.status(task)).held == "the price of it is not known"
    doorman.answer = None
    queues.kernel.bus.publish("", ConfigChanged(("budgets",)))
    assert (await queues.end(task)).outcome == "ok"


async def test_a_queue_held_by_a_plugin_that_leaves_goes_on(queues: Queues):
    class Plugin:
        @hookimpl
        def aegis_interceptors(self):
            one = Doorman()
            one.answer = Hold("no room", changed=trio.Event())
            return [one]

    await queues.kernel.plugins.enter("doorman", Plugin())
    task = await queues.put("work")
    await queues.settled()
    assert (await queues.status(task)).held == "no room"
    await queues.kernel.plugins.leave("doorman")
    assert (await queues.end(task)).outcome == "ok"


async def test_refused_when_it_is_handed_over_a_task_is_not_accepted(queues: Queues, doorman: Doorman):
    doorman.answer = Refused("queue 'one' over budget", unblock_at="2030-01-01T00:00:00Z")
    with pytest.raises(Refused, match="over budget") as refused:
        await queues.put("work")
    assert refused.value.data == {"unblock_at": "2030-01-01T00:00:00Z"}
    assert await queues.call("task list") == []
    doorman.answer = Hold("full", changed=trio.Event())
    assert await queues.put("work"), "what only has to wait is accepted"


async def test_what_was_admitted_and_does_not_begin_is_released(queues: Queues, doorman: Doorman):
    task = await queues.put("work")
    await queues.end(task)
    await queues.settled()
    assert doorman.released == [task], "when it is over, in case no turn of its worker took anything over"
    paused = trio.Event()

    class Slow:
        name, order = "slow", 5

        async def admit(self, work: Work) -> None:
            if not work.only_ask:
                await queues.call("queue pause", queue="one")
                paused.set()

    queues.kernel.interceptors.add(Slow())
    other = await queues.put("work")
    await paused.wait()
    await queues.settled()
    assert (await queues.status(other)).status == "pending"
    assert doorman.released[1:] == [other]


@pytest.mark.parametrize(
    "config", ["queues: {one: {agent: echo, budgets: [{usd: 1, window: 1h}]}, two: {agent: echo}}"]
)
async def test_demands_of_a_queue_that_nothing_here_keeps_stop_that_queue(queues: Queues):
    with pytest.raises(Refused, match="queue 'one' has budgets, and nothing here can hold them; install aegis-budget"):
        await queues.put("work")
    assert (await queues.end(await queues.put("work", queue="two"))).outcome == "ok"
