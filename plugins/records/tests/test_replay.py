"""What is no longer in memory is read back from the ends of the transcripts; what is not there is told as a gap."""

from __future__ import annotations

import os

import msgspec
import pytest
import trio

import aegis_inbox.plugin
import aegis_records.plugin
from aegis import Caller
from aegis.events import Gap, Text, decode, encode
from aegis.testing.echo import EchoPlugin
from aegis_records.backwards import backwards, last_turns, whole
from aegis_records.jsonlines import Appender, read_lines
from aegis_records.replay import replay

ANNA = Caller("human", "anna")


@pytest.fixture
def plugins():
    return {"echo": EchoPlugin(), "records": aegis_records.plugin, "inbox": aegis_inbox.plugin}


async def say(kernel, agent, text):
    receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, text))
    return await kernel.post.wait_turn(receipt.id)


def line(number, text="x", **more):
    return msgspec.json.encode({"v": 1, "number": number, "event": {"t": "Text", "text": text}} | more) + b"\n"


def texts(batches):
    return [(b.agent_id, b.number, [e.text for e in b.events]) for b in batches]


def test_events_of_many_files_come_in_the_order_of_their_numbers(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(line(1, "1") + line(2, "2") + line(5, "5"))
    (tmp_path / "b.jsonl").write_bytes(line(3, "3") + line(4, "4") + line(7, "7"))
    assert texts(replay(tmp_path, 1, 6)) == [("a", 2, ["2"]), ("b", 4, ["3", "4"]), ("a", 5, ["5"])]
    assert replay(tmp_path, 7, 9) == []
    assert replay(tmp_path / "none", 0, 9) == []


def test_what_is_older_than_numbers_and_what_is_damaged_is_passed_over(tmp_path):
    old = b'{"v":1,"aegis_ts":"2026-01-01T00:00:00Z","event":{"t":"Text","text":"old"}}\n'
    torn = b'{"v":1,"number":2,"event":{"t":"Te\n\xff\xfe\n[]\nnull\n{"number":"x"}\n'
    (tmp_path / "a.jsonl").write_bytes(old + line(1, "1") + torn + line(3, "3")[:-1])
    assert texts(replay(tmp_path, 0, 9)) == [("a", 1, ["1"]), ("a", 3, ["3"])]


@pytest.mark.parametrize("length", [0, 1, 100, 10_000, 400_000])
def test_lines_are_read_from_the_end_whatever_their_length(length, tmp_path):
    lines = [f"{n} {'x' * length}".encode() for n in range(30)]
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\n".join(lines))
    assert list(backwards(file)) == lines[::-1]


def test_a_long_history_costs_nothing(tmp_path):
    file = tmp_path / "a.jsonl"
    with file.open("wb") as history:
        history.truncate(2**36)  # nobody could read so much, and it takes no place on the disk
        history.seek(0, os.SEEK_END)
        history.writelines([b"\n", *(line(n, "x" * 1000) for n in range(1, 30_001))])
    assert texts(replay(tmp_path, 29_990, 30_000))[0][1] == 30_000
    found = replay(tmp_path, 0, 30_000)
    assert 5_000 < sum(len(b.events) for b in found) <= 10_000, "the newest, as many as are given at most"
    assert found[-1].number == 30_000
    assert len(replay(tmp_path, 0, 100)[0].events) == 100


async def test_the_last_turns_cost_the_same_however_long_the_transcript_is(kernel, project, monkeypatch):
    agent = await kernel.roster.spawn("echo", "calm-codd")
    await say(kernel, agent, "hello")
    await kernel.verbs.call(ANNA, "transcript", {"handle": "calm-codd"})
    file = project / f".aegis/state/sessions/{agent.id}.jsonl"
    turn = b"".join(line(n, event=event) for n, event in enumerate([
        {"t": "TurnStarted", "turn": "t"}, {"t": "Text", "text": "x" * 1_000},
        {"t": "TurnEnded", "outcome": "completed", "turn": "t", "reply": "x" * 1_000},
    ]))  # fmt: skip
    file.write_bytes(file.read_bytes() + turn * 20_000)
    assert file.stat().st_size > 40_000_000
    read, pread = [], os.pread

    def counting(descriptor, size, at):
        read.append(size)
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", counting)
    await say(kernel, agent, "and the last")
    for verb, asked, most in (
        ("transcript", {}, 20_000),
        ("read", {}, 20_000),
        ("last-words", {}, 20_000),
        ("transcript", {"turns": 20}, 200_000),
        ("records events", {"count": 5}, 20_000),
    ):
        read.clear()
        caller = Caller("program", "test") if verb == "last-words" else ANNA
        assert "and the last" in str(await kernel.verbs.call(caller, verb, {"handle": "calm-codd"} | asked))
        assert 0 < sum(read) <= most, verb


def test_turns_are_found_also_in_the_file_that_was_put_aside(tmp_path):
    file, turn = tmp_path / "a.jsonl", [{"t": "TurnStarted", "turn": "t"}, {"t": "Text", "text": "said"}]
    rows = [line(n, event=event) for n, event in enumerate(turn * 3)]
    (tmp_path / "a.jsonl.old").write_bytes(line(0, "before") + b"".join(rows[:3]))
    file.write_bytes(b"".join(rows[3:]) + b'{"event":{"t":"Te')
    for turns in (1, 2, 3, 100):
        assert [encode(e) for e in last_turns(whole(file), turns)] == [encode(decode(e)) for e in turn * min(turns, 3)]
    assert len(last_turns(whole(file), 100, most=120)) == 3, "as much as is looked at"
    file.unlink()
    assert len(last_turns(whole(file), 1)) == 1
    assert last_turns(whole(tmp_path / "none.jsonl"), 1) == []
    (tmp_path / "b.jsonl").write_bytes(line(0, "before"))
    assert last_turns(whole(tmp_path / "b.jsonl"), 1) == []


async def test_a_restarted_kernel_gives_what_the_last_one_wrote(kernel_with, plugins):
    async with kernel_with(**plugins) as kernel:
        agent = await kernel.roster.spawn("echo", "calm-codd")
        since = kernel.bus.number
        await say(kernel, agent, "hello")
        last = kernel.bus.number
    async with kernel_with(**plugins) as kernel:
        assert kernel.bus.number > last
        async with kernel.client(ANNA).watch(since) as news:
            seen = [(b.number, e) for b in await anext(news) for e in b.events]
    told = [type(e).__name__ for _, e in seen]
    written = ["TurnStarted", "SessionStarted", "Text", "TurnEnded"]
    assert [name for name in told if name in written] == written
    assert told.count("Gap") == 1, "views and mail are not on disk"
    assert told.index("Gap") < told.index("TurnStarted"), "the agent's view changed first"
    assert [number for number, _ in seen] == sorted(number for number, _ in seen)
    assert (told[0], seen[0][1]) == ("Gap", Gap(0)), "nobody knows what another kernel published and did not write"


async def test_what_was_published_before_is_found_although_the_disk_is_behind(kernel):
    agent = await kernel.roster.spawn("echo", "calm-codd")
    since = kernel.bus.number
    for n in range(25_000):
        kernel.bus.publish(agent.id, Text(str(n)))
    async with kernel.client(ANNA).watch(since) as news:
        seen = [e.text for b in await anext(news) for e in b.events]
    assert seen == [str(n) for n in range(25_000)]


async def test_a_plugin_that_is_gone_replays_nothing(kernel):
    assert list(kernel.bus.replayers) == ["events"]
    await kernel.supervisor.stop(next(name for name in kernel.supervisor.children if name.startswith("records.transc")))
    assert list(kernel.bus.replayers) == []


async def test_flushing_ends_although_more_and_more_is_written(tmp_path):
    appender = Appender(tmp_path, print)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(appender.run)

        async def more():
            while True:
                appender.buffer("a.jsonl").extend(b"{}\n")
                await trio.lowlevel.checkpoint()

        nursery.start_soon(more)
        with trio.fail_after(10):
            for _ in range(3):
                appender.buffer("b.jsonl").extend(b"{}\n")
                await appender.flush()
                assert (tmp_path / "b.jsonl").exists()
        nursery.cancel_scope.cancel()


async def test_a_line_that_was_torn_takes_no_other_with_it(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"n":1}\n{"n":')
    appender = Appender(tmp_path, print)
    for n in (2, 3):
        appender.buffer("a.jsonl").extend(b'{"n":%d}\n' % n)
        await appender.write()
    assert list(read_lines(tmp_path / "a.jsonl")) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert (tmp_path / "a.jsonl").stat().st_size == len(b'{"n":1}\n{"n":\n{"n":2}\n{"n":3}\n')
