"""For tests of brokers: a contract to inherit. One says which broker it is, and gets the tests of all brokers.

class TestMine(BrokerContract):
    def broker(self) -> Broker:
        return Mine()
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import trio

from aegis import NotFound, Refused
from aegis_queue.broker import Broker
from aegis_queue.outbox import send
from aegis_queue.task import STATES, Report, Task
from aegis_queue.testing_lives import LATER, NOW, OWNER, WORKER, Lives, active, letters, stamp_of, task


class BrokerContract(Lives):
    """What every broker keeps. `broker` returns one that is not open; whatever it needs is there."""

    # -- accepting ----------------------------------------------------------------------------------------------

    async def test_what_was_accepted_is_there_in_the_next_life(self, project: Path, seen: list[Task]) -> None:
        caller = {"kind": "human", "name": "owner", "class_": "person"}
        new = task(
            "a\nb", priority=2, after=(), timeout=3.5, schema={"type": "object"}, trace="t", hops=2, caller=caller
        )
        async with self._life(project, seen) as (_, broker):
            put, position = await broker.put(new)
            assert position == 1
            assert [t.id for t in seen] == [new.id]
        async with self._life(project, []) as (_, broker):
            found = await broker.find(new.id)
            assert found == put == await broker.first("one", NOW)
            assert (found.payload, found.schema, found.caller, found.state) == ("a\nb", new.schema, caller, "pending")
            with pytest.raises(NotFound, match="there is no task 'nope'"):
                await broker.find("nope")

    async def test_the_higher_priority_goes_first_and_then_who_came_first(self, opened: Any) -> None:
        _, broker = opened
        places = {}
        for name, priority in (("low", -1), ("a", 0), ("b", 0), ("high", 5)):
            _, places[name] = await broker.put(task(name, priority=priority))
        await broker.put(task("other", queue="two"))
        assert places == {"low": 1, "a": 1, "b": 2, "high": 1}
        order = []
        while head := await broker.first("one", NOW):
            assert await broker.take(head)
            order.append(head.payload)
        assert order == ["high", "a", "b", "low"]
        assert [t.payload for t in await active(broker, "one")] == ["low", "a", "b", "high"], "none is over"
        assert len(await active(broker)) == 5

    async def test_a_delayed_task_is_not_begun_before_it_is_due(self, opened: Any) -> None:
        _, broker = opened
        assert await broker.due("one") == ""
        late, _ = await broker.put(task("late", not_before=LATER))
        assert await broker.first("one", NOW) is None
        assert await broker.due("one") == LATER
        assert (await broker.first("one", LATER)) == late
        assert await broker.first("one", NOW) is None, "the clock was set back"

    async def test_one_key_is_one_task_however_many_ask_at_once(self, project: Path, opened: Any) -> None:
        _, broker = opened
        found: list[Task] = []

        async def put() -> None:
            found.append((await broker.put(task(key="nightly")))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(put)
        assert len({t.id for t in found}) == len(await active(broker)) == 1
        assert await broker.with_key("one", "nightly") == found[0]
        assert await broker.with_key("two", "nightly") is None
        other, _ = await broker.put(task(queue="two", key="nightly"))
        assert other.id != found[0].id, "a key belongs to its queue"
        assert (await broker.put(task(key="nightly")))[1] == 0

    # -- waiting for others -------------------------------------------------------------------------------------

    async def test_a_task_waits_until_what_it_comes_after_is_completed(self, opened: Any, seen: list[Task]) -> None:
        kernel, broker = opened
        before = await self._running(kernel, broker, payload="before")
        after, _ = await broker.put(task("after", after=(before.id,)))
        assert await broker.first("one", NOW) is None
        assert await broker.blocked() == []
        seen.clear()
        await broker.end(before, None, **self._end())
        assert {t.id for t in seen} == {before.id, after.id}, "whoever waits for a task that may begin is told"
        assert (await broker.first("one", NOW)) == after

    async def test_what_comes_after_a_task_without_result_can_never_begin(self, opened: Any) -> None:
        kernel, broker = opened
        before = await self._running(kernel, broker, payload="before")
        after, _ = await broker.put(task("after", after=(before.id,)))
        await broker.end(before, None, **self._end("failed", "error"))
        assert await broker.first("one", NOW) is None
        assert [(t.id, other) for t, other in await broker.blocked()] == [(after.id, before.id)]
        assert await broker.take(after), "so that it can be ended"
        await broker.end(after, None, **self._end("failed", "dependency"))
        assert await broker.blocked() == []

    # -- taking -------------------------------------------------------------------------------------------------

    async def test_of_many_who_take_a_task_one_has_it(self, opened: Any, seen: list[Task]) -> None:
        _, broker = opened
        put, _ = await broker.put(task())
        took: list[bool] = []

        async def take() -> None:
            took.append(await broker.take(put))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(take)
        assert sorted(took) == [False] * 4 + [True]
        assert await broker.first("one", NOW) is None
        seen.clear()
        await broker.put_back(put)
        assert [t.id for t in seen] == [put.id]
        assert (await broker.first("one", NOW)) == put
        await broker.put_back(put)
        assert await broker.take(put), "giving back what nobody has changes nothing"

    async def test_taking_ends_with_the_process(self, project: Path, tmp_path: Path, seen: list[Task]) -> None:
        async with self._life(project, seen) as (_, broker):
            put, _ = await broker.put(task())
            assert await broker.take(put)
            shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock"))
        async with self._life(tmp_path / "copy", []) as (_, broker):
            assert await broker.take(put)

    # -- the two steps that cause a message ---------------------------------------------------------------------

    async def test_killed_around_the_beginning_the_payload_is_there_once_or_the_task_waits(
        self, project: Path, tmp_path: Path, opened: Any
    ) -> None:
        kernel, broker = opened
        put, _ = await broker.put(task())
        assert await broker.take(put)
        mail, _, active = await self._after_a_kill(project, tmp_path / "before")
        assert (mail, [t.state for t in active]) == ([], ["pending"])
        begun = await broker.begin(put, self._payload(kernel, put), **self._attempt())
        assert (begun.state, begun.worker, begun.attempt) == ("running", "worker-1", 1)
        for moment in ("between", "sent"):
            mail, _, active = await self._after_a_kill(project, tmp_path / moment)
            assert (mail, active) == (["work"], [begun]), moment
            await send(kernel, broker, put.id)
        assert letters(kernel, WORKER) == ["work"]
        assert await broker.unsent() == []

    async def test_killed_around_the_end_the_callback_is_there_once_or_the_task_runs(
        self, project: Path, tmp_path: Path, opened: Any
    ) -> None:
        kernel, broker = opened
        begun = await self._running(kernel, broker)
        _, mail, active = await self._after_a_kill(project, tmp_path / "before")
        assert (mail, active) == ([], [begun])
        ended = await broker.end(begun, self._callback(kernel, begun), **self._end())
        assert (ended.state, ended.result, ended.cost_usd) == ("completed", "done", 0.25)
        for moment in ("between", "sent"):
            _, mail, active = await self._after_a_kill(project, tmp_path / moment)
            assert (mail, active) == (["end of work"], []), moment
            await send(kernel, broker, begun.id)
        again = await broker.end(begun, self._callback(kernel, begun), **self._end("failed", "error"))
        await send(kernel, broker)
        assert again == ended, "an end is for ever"
        assert letters(kernel, OWNER) == ["end of work"]

    async def test_a_message_nobody_can_get_is_not_tried_for_ever(self, opened: Any) -> None:
        kernel, broker = opened
        begun = await self._running(kernel, broker)
        ended = await broker.end(begun, self._callback(kernel, begun, to="an agent that is gone"), **self._end())
        await send(kernel, broker)
        assert (ended.state, await broker.unsent()) == ("completed", [])

    # -- again --------------------------------------------------------------------------------------------------

    async def test_put_back_into_its_queue_it_waits_like_new_and_knows_its_last_worker(self, opened: Any) -> None:
        kernel, broker = opened
        begun = await self._running(kernel, broker)
        await broker.report(begun, Report("half"))
        again = await broker.requeue(begun, not_before=LATER, attempt=1, error="attempt 1 error: no", cost_usd=0.5)
        fields = (
            again.state,
            again.worker,
            again.worker_handle,
            again.former,
            again.report,
            again.attempt,
            again.cost_usd,
        )
        assert fields == ("pending", "", "", "worker-1", None, 1, 0.5)
        assert (await broker.first("one", LATER)) == again
        await broker.report(begun, Report("late"))
        assert (await broker.find(begun.id)).report is None, "of an attempt that is over"

    async def test_of_two_who_want_it_again_one_is_refused(self, opened: Any) -> None:
        kernel, broker = opened
        ended = await broker.end(await self._running(kernel, broker), None, **self._end("failed", "error"))
        assert await broker.dead("one") == [ended]
        said: list[str] = []

        async def again() -> None:
            try:
                said.append((await broker.requeue(ended, attempt=0, outcome="", completed_at="")).state)
            except Refused:
                said.append("refused")

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(again)
        assert sorted(said) == ["pending", "refused"]
        assert await broker.dead("") == []
        assert (await broker.counts("one"))["failed"] == 0

    async def test_the_report_of_the_worker_that_has_it_counts(self, opened: Any) -> None:
        kernel, broker = opened
        begun = await self._running(kernel, broker)
        await broker.report(begun, Report({"bugs": 3}, ("a.md",)))
        assert (await broker.find(begun.id)).report == Report({"bugs": 3}, ("a.md",))

    # -- looking ------------------------------------------------------------------------------------------------

    async def test_counts_modes_and_what_ended_last_are_the_same_in_the_next_life(
        self, project: Path, seen: list[Task]
    ) -> None:
        async with self._life(project, seen) as (kernel, broker):
            for number, state in enumerate(("completed", "failed", "cancelled", "failed")):
                begun = await self._running(kernel, broker, payload=str(number))
                end = self._end(state, "ok" if state == "completed" else "error")
                await broker.end(begun, None, **end | {"completed_at": stamp_of(number)})
            await self._running(kernel, broker, payload="running")
            await broker.put(task("waits"))
            await broker.put(task("elsewhere", queue="two"))
            await broker.set_mode("two", "paused")
            before = await self._looked(broker)
        async with self._life(project, []) as (_, broker):
            assert await self._looked(broker) == before
        counts, newest, dead, modes = before
        assert counts == dict.fromkeys(STATES, 1) | {"failed": 2}
        assert (newest, dead, modes) == (["3", "2", "1"], ["3", "1"], ["open", "paused"])

    async def test_those_that_wait_are_shown_in_their_order_page_by_page(self, opened: Any) -> None:
        kernel, broker = opened
        running = await self._running(kernel, broker, payload="runs")
        for name, priority, due in (("low", -1, ""), ("a", 0, ""), ("late", 0, LATER), ("high", 5, "")):
            await broker.put(task(name, priority=priority, not_before=due))
        await broker.put(task("after", after=(running.id,)))
        await broker.put(task("other", queue="two", priority=9))
        pages = [[t.payload for t in await broker.waiting(queue, 3)] for queue in ("one", "")]
        assert pages == [["high", "a", "late"], ["other", "high", "a"]]
        there = await broker.waiting("one", 10)
        assert [t.payload for t in there] == ["high", "a", "late", "after", "low"]
        assert [await broker.position(t) for t in there] == [1, 2, 3, 4, 5]
        assert await broker.position(running) == 0
        assert await broker.take(there[0])
        assert [await broker.position(t) for t in there] == [0, 1, 2, 3, 4], "it is about to begin"
        assert await broker.waiting("one", 10) == there, "but it has not begun"
        assert ([t.payload for t in await broker.running("one")], await broker.running("two")) == (["runs"], [])

    async def test_an_agents_tasks_are_found_without_a_look_at_those_of_others(
        self, project: Path, seen: list[Task]
    ) -> None:
        lead = {"kind": "agent", "name": "lead", "agent_id": "lead-1"}
        async with self._life(project, seen) as (kernel, broker):
            begun = await self._running(kernel, broker, payload="mine, running", caller=lead)
            await broker.put(task("mine", caller=lead))
            await broker.put(task("mine elsewhere", queue="two", caller=lead))
            await broker.put(task("a person's"))
            await broker.requeue(await self._running(kernel, broker, payload="again"), attempt=1)
            ended = await self._running(kernel, broker, payload="over", caller=lead)
            await broker.end(ended, None, **self._end())
            before = await self._owned(broker)
        async with self._life(project, []) as (_, broker):
            assert await self._owned(broker) == before
            assert await broker.ids(begun.id[-5:].lower(), 9) == [begun.id]
            assert len(await broker.ids("", 3)) == 3
            assert await broker.ids(ended.id, 9) == []
        agents, mine, again, owned = before
        assert agents == {"lead-1", "worker-1"}
        assert (mine, again, owned) == (["mine, running", "mine", "mine elsewhere"], ["again"], [2, 1, 0])

    async def _owned(self, broker: Broker) -> tuple[set[str], list[str], list[str], list[int]]:
        mine, again = [[t.payload for t in await broker.of(agent)] for agent in ("lead-1", "worker-1")]
        owned = [await broker.owned("lead-1", queue) for queue in ("one", "two", "three")]
        return await broker.agents(), mine, again, owned

    async def _looked(self, broker: Broker) -> tuple[dict[str, int], list[str], list[str], list[str]]:
        newest, dead = await broker.newest("one", 3), await broker.dead("")
        modes = [await broker.mode(queue) for queue in ("one", "two")]
        return await broker.counts("one"), [t.payload for t in newest], [t.payload for t in dead], modes
