"""Transcripts and the mirror: whole, readable, and never needed for recovery."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import trio

import aegis_records.plugin
from aegis import Caller, NotFound, hookimpl
from aegis.events import Fault, Text, TurnStarted
from aegis.testing.echo import EchoPlugin
from aegis_private.folder import Folder
from aegis_records.backwards import last_lines, whole
from aegis_records.jsonlines import Appender, read_lines
from aegis_records.open_files import OpenFiles

ANNA = Caller("human", "anna")


@pytest.fixture
def plugins():
    return {"echo": EchoPlugin(), "records": aegis_records.plugin}


@pytest.fixture
def done(monkeypatch):
    """Return what is done to the records' files from now on: `open` or `append`, and the name."""
    acts, open_file, descriptor = [], Folder.open_file, OpenFiles.descriptor

    def opening(folder, name, flags=os.O_RDONLY):
        if "/" in name:
            acts.append(("open", name))
        return open_file(folder, name, flags)

    def appending(files, name):
        acts.append(("append", name))
        return descriptor(files, name)

    monkeypatch.setattr(Folder, "open_file", opening)
    monkeypatch.setattr(OpenFiles, "descriptor", appending)
    return acts


async def say(kernel, agent, text):
    receipt = await kernel.post.deliver(kernel.post.envelope("human:anna", agent.id, text))
    return await kernel.post.wait_turn(receipt.id)


async def test_the_transcript_holds_every_event_in_order_also_the_last(kernel_with, plugins, project):
    async with kernel_with(**plugins) as kernel:
        agent = await kernel.roster.spawn("echo", "calm-codd")
        await say(kernel, agent, "hello")
    lines = list(read_lines(project / f".aegis/state/sessions/{agent.id}.jsonl"))
    assert [line["v"] for line in lines] == [1] * len(lines)
    assert [line["event"]["t"] for line in lines] == ["TurnStarted", "SessionStarted", "Text", "TurnEnded"]


async def test_transcript_joins_chunks_and_passes_over_a_torn_line(kernel, project):
    agent = await kernel.roster.spawn("echo", "calm-codd")
    await say(kernel, agent, "hello")
    await kernel.verbs.call(ANNA, "transcript", {"handle": "calm-codd"})
    with (project / f".aegis/state/sessions/{agent.id}.jsonl").open("a") as file:
        file.write('{"v":1,"event":{"t":"Te')
    text = await kernel.verbs.call(ANNA, "transcript", {"handle": "calm-codd"})
    assert text.count("hello") == 2
    assert text.startswith("> from human:anna · ")


async def test_the_transcript_of_an_agent_with_a_handle_of_one_word_is_found_by_it(kernel):
    agent = await kernel.roster.spawn("echo", "walt")
    await say(kernel, agent, "hello")
    assert "hello" in await kernel.verbs.call(ANNA, "transcript", {"handle": "walt"})
    assert kernel.roster.born("walt") is None, "a handle is no id"


async def test_the_transcript_of_an_agent_that_is_gone_is_found_by_its_id(kernel):
    agent = await kernel.roster.spawn("echo", "calm-codd")
    await say(kernel, agent, "hello")
    alive = await kernel.verbs.call(ANNA, "transcript", {"handle": agent.id})
    await kernel.roster.close(agent)
    text = await kernel.verbs.call(ANNA, "transcript", {"handle": agent.id})
    assert text == alive and text.startswith("> from human:anna · ")
    for unknown in ("calm-codd", "../ledger", "nobody"):
        with pytest.raises(NotFound, match="no agent"):
            await kernel.verbs.call(ANNA, "transcript", {"handle": unknown})


async def test_the_newest_events_of_one_agent_and_of_all_are_in_order_and_no_more_than_asked_for(kernel, project):
    anna, bo = await kernel.roster.spawn("echo", "calm-codd"), await kernel.roster.spawn("echo", "wry-hopper")
    for agent, text in ((anna, "one"), (bo, "two"), (anna, "three")):
        await say(kernel, agent, text)
    await kernel.verbs.call(ANNA, "records events")
    with (project / f".aegis/state/sessions/{bo.id}.jsonl").open("a") as file:
        file.write('{"v":1}\n{"v":1,"event":{"t":"Te')
    rows = await kernel.verbs.call(ANNA, "records events", {"handle": "calm-codd"})
    assert {(row.agent_id, row.handle) for row in rows} == {(anna.id, "calm-codd")}
    assert [row.event["t"] for row in rows].count("TurnEnded") == 2
    everything = await kernel.verbs.call(ANNA, "records events")
    assert {row.agent_id for row in everything} == {anna.id, bo.id}
    assert [row.at for row in everything] == sorted(row.at for row in everything)
    newest = await kernel.verbs.call(ANNA, "records events", {"handle": "calm-codd", "count": 2})
    assert newest == rows[-2:]
    await kernel.roster.close(anna)
    gone = await kernel.verbs.call(ANNA, "records events", {"handle": anna.id})
    assert [row.event["t"] for row in gone][: len(rows)] == [row.event["t"] for row in rows]


def test_of_a_long_file_only_the_end_is_read(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text("".join(f"{n}\n" for n in range(1000)))
    assert last_lines(whole(file), 5, 1000) == [995, 996, 997, 998, 999]
    assert last_lines(whole(file), 5, 9) == [998, 999], "what the cut went through is no line"
    assert last_lines(whole(tmp_path / "none.jsonl"), 5, 10) == []


async def test_the_mirror_is_split_as_the_reference_names_it_and_can_be_written_anew(kernel, project):
    state = project / ".aegis/state"
    agent = await kernel.roster.spawn("echo", "calm-codd")
    await say(kernel, agent, "hello")
    await kernel.verbs.call(ANNA, "ledger export")
    mail = list(read_lines(state / "inboxes/calm-codd.jsonl"))
    assert [line["event"] for line in mail] == ["accepted", "injected", "ended"]
    assert mail[0]["body"] == "hello"
    before = {f: f.read_text() for f in state.glob("*/*.jsonl") if f.parent.name != "sessions"}
    for file in before:
        file.unlink()
    said = await kernel.verbs.call(ANNA, "ledger export")
    assert {f: f.read_text() for f in before} == before
    assert said.startswith(f"{sum(t.count(chr(10)) for t in before.values())} records in {len(before)} files")


async def test_what_all_agents_say_within_a_moment_is_written_at_once(kernel, project, clock, done):
    agents = [await kernel.roster.spawn("echo", f"echo-{n}") for n in range(20)]
    await kernel.verbs.call(ANNA, "records events")
    done.clear()
    clock.trio.rate = 0
    for _ in range(100):  # a second, in which each says a hundred things
        for agent in agents:
            kernel.bus.publish(agent.id, Text("word "))
        clock.jump(0.01)
        await trio.testing.wait_all_tasks_blocked()
    await kernel.verbs.call(ANNA, "records events")
    clock.trio.rate = 1
    for agent in agents:
        assert 0 < done.count(("append", f"sessions/{agent.id}.jsonl")) <= 22, "for 100 events"
        assert done.count(("open", f"sessions/{agent.id}.jsonl")) <= 1
    text = (project / f".aegis/state/sessions/{agents[0].id}.jsonl").read_text()
    assert text.count("word ") == 100


async def test_a_transcript_is_never_behind_for_those_who_read_it(kernel, clock):
    agent = await kernel.roster.spawn("echo", "calm-codd")
    clock.trio.rate = 0  # no time passes in which more could be waited for
    for n in range(10):
        kernel.bus.publish(agent.id, TurnStarted(str(n)), Text(f"word {n}"))
        for verb in ("records turns", "last-words", "records events"):
            said = await kernel.verbs.call(Caller("program", "test"), verb, {"handle": "calm-codd"})
            assert f"word {n}" in str(said), verb
    clock.trio.rate = 1


async def test_nothing_is_written_while_nothing_happens(kernel, autojump, done):
    agent = await kernel.roster.spawn("echo", "calm-codd")
    await say(kernel, agent, "hello")
    await trio.sleep(1)
    done.clear()
    await trio.sleep(3600)
    assert done == []


@pytest.mark.parametrize("what", ["deleted", "moved", "linked", "replaced"])
async def test_a_file_that_is_held_open_is_still_the_one_of_its_name(tmp_path, what):
    appender, file = Appender(tmp_path, lambda fault: None), tmp_path / "sessions/x.jsonl"

    async def add(line):
        appender.buffer("sessions/x.jsonl").extend(line)
        await appender.write()

    await add(b'"one"\n')
    if what == "deleted":
        file.unlink()
    elif what == "moved":
        file.rename(tmp_path / "other")
    elif what == "linked":
        (tmp_path / "other").hardlink_to(file)
    else:
        file.rename(tmp_path / "other")
        file.symlink_to(tmp_path / "other")
    await add(b'"two"\n')
    if what in ("linked", "replaced"):
        assert "records are not written" in appender.trouble()[0]
        (tmp_path / "other" if what == "linked" else file).unlink()
        await add(b'"three"\n')
    assert list(read_lines(file))[-1] == ("two" if what in ("deleted", "moved") else "three")
    assert "two" in list(read_lines(file)), "what could not be written was kept"
    await appender.finish()


async def test_few_files_are_held_open_and_none_when_it_is_over(tmp_path):
    appender, held = Appender(tmp_path, lambda fault: None), len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        for n in range(200):
            appender.buffer(f"sessions/{n}.jsonl").extend(b"1\n")
        await appender.write()
    assert len(list(Path("/dev/fd").iterdir())) - held < 70
    await appender.finish()
    assert len(list(Path("/dev/fd").iterdir())) == held
    assert all(list(read_lines(tmp_path / f"sessions/{n}.jsonl")) == [1, 1, 1] for n in range(200))


class Diary:
    """A plugin whose book is mirrored to a file for each of its days."""

    @hookimpl(optionalhook=True)
    def aegis_mirrors(self):
        return [("diary", "diaries/{day}/lines.jsonl")]


class Notes:
    """A plugin whose book is mirrored to a file for each key."""

    @hookimpl(optionalhook=True)
    def aegis_mirrors(self):
        return [("notes", "notes/{key}.jsonl")]


async def test_a_plugin_says_to_which_files_its_book_is_mirrored(kernel, project):
    state, book = project / ".aegis/state", kernel.ledger.book("diary")

    async def written() -> list[str]:
        await kernel.verbs.call(ANNA, "ledger export")
        return sorted(str(file.relative_to(state)) for file in state.rglob("*.jsonl") if "diar" in str(file))

    await book.append("ran", "1", day="monday")
    assert await written() == ["books/diary.jsonl"]
    (state / "books/diary.jsonl").unlink()
    await kernel.plugins.enter("diary", Diary())
    await book.append("ran", "2", day="../x:y")
    await book.append("ran", "3")
    assert await written() == ["books/diary.jsonl", "diaries/.._x-y/lines.jsonl", "diaries/monday/lines.jsonl"]
    assert [line["key"] for line in read_lines(state / "diaries/monday/lines.jsonl")] == ["1"]
    await kernel.plugins.enter("notes", Notes())
    await kernel.ledger.book("notes").append("made", "n/1")
    await written()
    assert [line["event"] for line in read_lines(state / "notes/n_1.jsonl")] == ["made"]
    await kernel.plugins.leave("diary")
    await book.append("ran", "4", day="monday")
    await kernel.verbs.call(ANNA, "ledger export")
    assert [line["key"] for line in read_lines(state / "books/diary.jsonl")] == ["1", "2", "3", "4"]


async def test_what_is_committed_while_everything_is_written_again_is_there_once(kernel, project):
    book = kernel.ledger.book("diary")
    await kernel.ledger.append(*(book.draft("ran", str(n)) for n in range(1000)))
    over = trio.Event()

    async def export() -> None:
        await kernel.verbs.call(ANNA, "ledger export")
        over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(export)
        nursery.start_soon(export)
        count = 1000
        while not over.is_set():
            await book.append("ran", str(count))
            count += 1
    keys: list[str] = []
    with trio.fail_after(20):
        while len(keys) < count:
            await trio.testing.wait_all_tasks_blocked()
            keys = [line["key"] for line in read_lines(project / ".aegis/state/books/diary.jsonl")]
    assert keys == [str(n) for n in range(count)]


async def test_a_folder_that_cannot_be_written_is_a_fault_and_nobody_waits(tmp_path):
    (tmp_path / "sessions").write_text("a file where a folder should be")
    faults: list[Fault] = []
    appender = Appender(tmp_path, faults.append)
    appender.buffer("sessions/x.jsonl").extend(b"{}\n")
    with trio.fail_after(5):
        await appender.write()
        await appender.flush()
    assert "were not written" in faults[0].error


async def test_a_transcript_does_not_grow_for_ever(kernel_with, plugins, project):
    (project / ".aegis.yaml").write_text("plugins: {records: {max_transcript: 20000}}\n")
    async with kernel_with(**plugins) as kernel:
        agent = await kernel.roster.spawn("echo", "calm-codd")
        for n in range(30):
            await say(kernel, agent, f"{n} {'x' * 4_000}")
            text = await kernel.verbs.call(ANNA, "transcript", {"handle": "calm-codd", "turns": 2})
        assert "29 xxx" in text and "28 xxx" in text
    folder = project / ".aegis/state/sessions"
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(sizes) <= {f"{agent.id}.jsonl", f"{agent.id}.jsonl.old"}
    assert 0 < sum(sizes.values()) < 2 * 20_000 + 2 * 9_000, "one more turn each"


async def test_what_cannot_be_written_is_said_as_long_as_it_waits_and_written_later(tmp_path, autojump):
    (tmp_path / "sessions").write_text("a file where a folder should be")
    faults: list[Fault] = []
    appender = Appender(tmp_path, faults.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(appender.serve)
        for n in range(20):
            appender.buffer("sessions/x.jsonl").extend(b'{"n": %d}\n' % n)
            appender.buffer("other.jsonl").extend(b'{"n": %d}\n' % n)
            await trio.sleep(1)
        [said] = appender.trouble()
        assert "records are not written" in said and "bytes wait" in said and len(faults) == 1
        await appender.flush()
        await appender.room()
        (tmp_path / "sessions").unlink()
        await trio.sleep(60)
        assert appender.trouble() == [] and "is written now" in faults[1].error
        nursery.cancel_scope.cancel()
    for name in ("sessions/x.jsonl", "other.jsonl"):
        assert [line["n"] for line in read_lines(tmp_path / name)] == list(range(20)), "once each, in order"


async def test_what_is_more_than_memory_may_hold_is_counted(tmp_path):
    (tmp_path / "sessions").write_text("a file where a folder should be")
    appender = Appender(tmp_path, lambda fault: None)
    for n in range(12):
        appender.buffer("sessions/x.jsonl").extend(b'"%d %s"\n' % (n, b"x" * 1_000_000))
        await appender.write()
    [said] = appender.trouble()
    assert "bytes are lost" in said
    (tmp_path / "sessions").unlink()
    await appender.write()
    assert [line.split()[0] for line in read_lines(tmp_path / "sessions/x.jsonl")] == ["8", "9", "10", "11"]


async def test_nothing_is_lost_when_the_disk_is_behind(kernel_with, plugins, project):
    async with kernel_with(**plugins) as kernel:
        agent = await kernel.roster.spawn("echo", "calm-codd")
        texts = [f"{n} {'x' * 50_000}" for n in range(200)]
        for text in texts:
            await say(kernel, agent, text)
    said = [
        e["event"]["text"]
        for e in read_lines(project / f".aegis/state/sessions/{agent.id}.jsonl")
        if "text" in e["event"]
    ]
    assert [json.dumps(s).count("x") for s in said] == [json.dumps(t).count("x") for t in texts]


async def test_an_export_into_many_files_lets_others_have_their_turn(kernel_with, plugins, monkeypatch):
    begun, most, remove = 0, 0, Appender.remove

    def counted(appender, name):
        nonlocal begun, most
        begun += 1
        most = max(most, begun)
        remove(appender, name)

    async def others():
        nonlocal begun
        while True:
            begun = 0
            await trio.lowlevel.checkpoint()

    async with kernel_with(**plugins) as kernel, trio.open_nursery() as nursery:
        for number in range(60):
            await kernel.post.deliver(kernel.post.envelope("system", f"human:p{number}", "hello"))
        monkeypatch.setattr(Appender, "remove", counted)
        nursery.start_soon(others)
        assert "60 records in 60 files" in await kernel.verbs.call(ANNA, "ledger export")
        nursery.cancel_scope.cancel()
    assert 1 < most <= 20  # ten, and as many again when the turns fall so
