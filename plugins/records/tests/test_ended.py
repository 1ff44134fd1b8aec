"""Agents that a queue or a workflow started leave no files of their own behind, and what they said is still found."""

from __future__ import annotations

import json

import pytest
import trio

import aegis_records.plugin
from aegis import Caller
from aegis.bus import Batch
from aegis.events import Gap
from aegis.testing.echo import EchoPlugin
from aegis_records.backwards import last_turns
from aegis_records.ended import Ended
from aegis_records.replay import replay

ANNA, QUEUE, RUN = Caller("human", "anna"), Caller("human", "anna").through("queue", "nightly"), Caller("workflow", "1")


@pytest.fixture
def plugins():
    return {"echo": EchoPlugin(), "records": aegis_records.plugin}


async def worked(kernel, n, by=QUEUE):
    """Have an agent do one task and be gone; return its id."""
    agent = await kernel.roster.spawn("echo", f"worker-{n}", by)
    receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, f"task {n}"))
    await kernel.post.wait_turn(receipt.id)
    await kernel.roster.close(agent)
    return agent.id


async def told(kernel, agent_id):
    """Return what three verbs tell of an agent that is gone."""
    program = Caller("program", "test")
    text = await kernel.verbs.call(ANNA, "transcript", {"handle": agent_id, "turns": 3})
    words = await kernel.verbs.call(program, "last-words", {"handle": agent_id})
    events = await kernel.verbs.call(ANNA, "records events", {"handle": agent_id})
    return text, words, [row.event["t"] for row in events]


async def test_a_hundred_tasks_leave_a_few_files_and_all_is_still_found(kernel_with, plugins, project):
    sessions, inboxes = project / ".aegis/state/sessions", project / ".aegis/state/inboxes"
    async with kernel_with(**plugins) as kernel:
        persons = await worked(kernel, "of-anna", ANNA)
        since = kernel.bus.number
        ids = [await worked(kernel, n) for n in range(100)]
        run = await worked(kernel, "of-run", RUN)
        first = await told(kernel, ids[0])
        assert "task 0" in first[0] and "task 0" in first[1] and "TurnEnded" in first[2]
        assert len(list(sessions.glob("*.jsonl"))) < 30, "they are put away together, not one by one"
    assert {file.stem for file in sessions.glob("*.jsonl")} == {persons}
    assert len(list((sessions / "ended").iterdir())) in (2, 4)
    assert {file.stem for file in inboxes.iterdir()} >= {"worker-of-anna", "queue_nightly", "workflow_1"}
    assert len(list(inboxes.iterdir())) <= 4
    rows = [json.loads(line) for file in (sessions / "ended").glob("*.jsonl") for line in file.read_text().splitlines()]
    about = {row["agent_id"]: row for row in rows if "agent_id" in row}
    assert about.keys() == {*ids, run} and about[ids[3]]["by"] == "queue:nightly"
    async with kernel_with(**plugins) as kernel:
        assert await told(kernel, ids[0]) == first
        assert "task 99" in (await told(kernel, ids[99]))[0]
        async with kernel.client(ANNA).watch(since) as news:
            batches = await anext(news)
        seen = [(b.agent_id, e.text) for b in batches for e in b.events if type(e).__name__ == "Text"]
        assert [(i, t) for i, t in seen if i in ids] == [(i, t) for i in ids for j, t in seen if i == j]
        assert {i for i, _ in seen} >= set(ids), "also a watcher that comes back is told"


async def test_what_a_killed_aegis_had_not_put_away_the_next_one_does(kernel_with, plugins, project):
    sessions = project / ".aegis/state/sessions"
    async with kernel_with(**plugins) as kernel:
        agent_id = await worked(kernel, 1)
        await told(kernel, agent_id)
        left = (sessions / f"{agent_id}.jsonl").read_bytes()
    (sessions / f"{agent_id}.jsonl").write_bytes(left)  # as a kill between two steps leaves it
    ended = Ended(sessions)
    assert len(list(ended.parts(agent_id))) == 1
    once = [event for batch in replay(sessions, 0, 2**60) for event in batch.events]
    assert len(last_turns(ended.lines(agent_id), 5)) == len(once) == left.count(b"\n"), "each line is read once"
    async with kernel_with(**plugins) as kernel:
        text, _, _ = await told(kernel, agent_id)
        assert text.count("task 1") == 2, "asked and answered"
    assert not list(sessions.glob("*.jsonl"))
    assert len(list(ended.parts(agent_id))) == 2
    assert len(last_turns(ended.lines(agent_id), 5)) == len(once)


def line(number, text="x"):
    event = {"t": "Text", "text": text} if text else {"t": "TurnStarted", "turn": "t"}
    return json.dumps({"v": 1, "aegis_ts": "", "number": number, "event": event}).encode() + b"\n"


def test_torn_files_and_long_transcripts(tmp_path):
    ended = Ended(tmp_path)
    assert ended.ids() == [] == list(ended.parts("ABCD1")) == list(ended.since(0))
    (tmp_path / "ABCD1.jsonl").write_bytes(line(1, "") + line(2, "one")[:-1])
    (tmp_path / "ABCD2.jsonl").write_bytes(line(3, "") + line(4, "two"))
    (tmp_path / "ABCD3.jsonl").write_bytes(line(5, "") + line(6, "x" * 2**20))
    (tmp_path / "ABCD4.jsonl").write_bytes(line(7, ""))
    (tmp_path / "ABCD4.jsonl.old").write_bytes(line(6, ""))
    ended.put_away({"ABCD1": {}, "ABCD5": {}}, 2)
    for file in (tmp_path / "ended").iterdir():
        file.write_bytes(file.read_bytes() + b"ABCD2 torn")
    ended.put_away({"ABCD2": {"handle": "two"}, "ABCD3": {}, "ABCD4": {}}, 7)
    assert sorted(ended.ids()) == ["ABCD3", "ABCD4"], "a long one stays where it is"
    assert [len(last_turns(ended.lines(f"ABCD{n}"), 9)) for n in (1, 2, 3, 4, 5)] == [2, 2, 2, 2, 0]
    assert [part.agent_id for part in ended.since(0)] == ["ABCD2", "ABCD1"]
    assert [part.agent_id for part in ended.since(2)] == ["ABCD2"]
    assert [b.number for b in replay(tmp_path, 3, 6) if isinstance(b, Batch)] == [4, 6]


async def test_a_watcher_that_comes_back_is_told_of_what_is_gone_only_once(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        since = kernel.bus.number
        for n in range(25):
            await worked(kernel, n)
    async with kernel_with(**plugins) as kernel, kernel.client(ANNA).watch(since) as news:
        with trio.fail_after(10):
            seen = [(b.number, e) for b in await anext(news) for e in b.events]
        assert [n for n, _ in seen] == sorted(n for n, _ in seen)
        assert sum(isinstance(e, Gap) for _, e in seen) == 1


async def test_with_a_disk_that_takes_nothing_all_stays_where_it_is_and_nobody_waits(kernel_with, plugins, project):
    sessions = project / ".aegis/state/sessions"
    async with kernel_with(**plugins) as kernel:
        sessions.mkdir(exist_ok=True)
        first = await kernel.roster.spawn("echo", "first", QUEUE)
        receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", first.id, "said before"))
        await kernel.post.wait_turn(receipt.id)
        await kernel.verbs.call(ANNA, "transcript", {"handle": "first"})
        file = sessions / f"{first.id}.jsonl"
        file.rename(sessions / "elsewhere")
        file.mkdir()
        for n in range(25):
            await worked(kernel, n)
        receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", first.id, "said now"))
        await kernel.post.wait_turn(receipt.id)
        other = await kernel.roster.spawn("echo", "other")
        await kernel.verbs.call(ANNA, "records events", {"handle": other.handle})  # all is tried to be written
        await kernel.roster.close(first)
        assert [f for f in kernel.faults if "were not written" in f.error]
        file.rmdir()
        (sessions / "elsewhere").rename(file)
    async with kernel_with(**plugins) as kernel:
        text, _, _ = await told(kernel, first.id)
        assert "said before" in text and "said now" in text
