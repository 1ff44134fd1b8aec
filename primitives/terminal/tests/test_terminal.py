"""Terminals as callers know them: one command after the other, records that stay, mail, and what is refused."""

from __future__ import annotations

import re
import shutil

import pytest
import trio
from terminal_stage import BO, Stage, until

from aegis import AegisError, Caller, NotFound, Refused, hookimpl
from aegis.verbs import progress
from aegis_terminal.keys import pressed


@pytest.fixture
async def build(stage: Stage) -> Stage:
    """A stage with the terminal `build`."""
    await stage.spawn()
    return stage


# -- records ----------------------------------------------------------------------------------------------------------


async def test_a_record_says_who_ran_what_and_how_it_ended(build: Stage):
    eve = await build.agent("eve")
    await build.run("echo one")
    await build.run("echo two; false", eve)
    first, second = await build.call("read", name="build")
    assert (first.seq, first.cmd, first.writer, first.exit, first.stdout) == (0, "echo one", "human", 0, "one\n")
    assert (second.seq, second.writer, second.exit, second.stderr) == (1, "agent:eve", 1, "")
    assert re.fullmatch(r"2026-01-05T10:00:\d\d\.\d{3}Z", first.started_at)
    assert first.finished_at >= first.started_at
    assert 0 <= first.duration_s < 10
    while (row := (await build.call("list"))[0]).state != "idle":  # its shell has yet to show the prompt
        await trio.lowlevel.checkpoint()
    assert (row.last_exit, row.runs, row.last_cmd_at) == (1, 2, second.started_at)


async def test_reading_takes_the_last_or_what_is_new(build: Stage):
    for n in range(4):
        await build.run(f"echo {n}")
    assert [run.seq for run in await build.call("read", name="build", last_n=2)] == [2, 3]
    assert [run.seq for run in await build.call("read", name="build", since_seq=1)] == [2, 3]
    assert [run.seq for run in await build.call("read", name="build", since_seq=-1)] == [0, 1, 2, 3]
    assert await build.call("read", name="build", since_seq=3) == []


async def test_many_long_runs_are_read_within_what_an_agent_can_take(build: Stage):
    for _ in range(3):
        await build.run("seq 1 8000; echo END")
    runs = await build.call("read", name="build")
    assert len(runs[-1].stdout) > 30_000
    assert runs[-1].stdout.endswith("END\n")
    assert runs[0].stdout.endswith("END\n")
    assert "characters left out" in runs[0].stdout
    assert sum(len(run.stdout) for run in runs) < 70_000
    [alone] = await build.call("read", name="build", since_seq=-1, last_n=1)
    assert len(alone.stdout) > 30_000


async def test_a_closed_terminal_is_read_and_its_name_goes_on_counting(build: Stage):
    await build.run("echo one")
    await build.call("close", name="build")
    assert [run.stdout for run in await build.call("read", name="build")] == ["one\n"]
    await build.spawn()
    assert (await build.run("echo two")).seq == 1
    await build.call("close", name="build", purge=True)
    with pytest.raises(NotFound, match="there is no terminal 'build'"):
        await build.call("read", name="build")
    assert not (build.kernel.project.state / "terminals" / "build").exists()
    await build.spawn()
    assert (await build.run("echo three")).seq == 0


# -- one after the other ----------------------------------------------------------------------------------------------


async def test_commands_wait_for_their_turn_in_order(build: Stage):
    done: list[str] = []
    async with trio.open_nursery() as nursery:

        async def run(n: int) -> None:
            done.append((await build.run(f"sleep 0.05; echo {n}")).stdout.strip())

        for n in range(5):
            nursery.start_soon(run, n)
            await trio.testing.wait_all_tasks_blocked()
    assert done == ["0", "1", "2", "3", "4"]
    assert [run.seq for run in await build.call("read", name="build")] == [0, 1, 2, 3, 4]


async def test_after_a_time_out_it_is_busy_until_its_own_end(build: Stage):
    run = await build.run("echo begun; read line; echo got $line", timeout=0.3)
    assert (run.timed_out, run.exit, run.stdout) == (True, None, "begun\n")
    with pytest.raises(Refused, match=r"build is busy: 'echo begun; read line.*' of human has passed its time limit"):
        await build.run("echo next")
    assert (await build.call("list"))[0].state == "busy"
    await build.call("keys", name="build", keys="hello\r")
    await build.state("idle")
    next_ = await build.run("echo next")
    assert (next_.seq, next_.exit, next_.stdout) == (1, 0, "next\n"), "nothing of what was said before"


async def test_those_who_waited_behind_a_time_out_are_told(build: Stage):
    async with trio.open_nursery() as nursery:

        async def first() -> None:
            assert (await build.run("echo begun; sleep 60", timeout=0.3)).timed_out

        nursery.start_soon(first)
        await build.shows("begun")
        with pytest.raises(Refused, match="is busy"):
            await build.run("touch never")
    await build.call("keys", name="build", keys="ctrl-c")
    assert await build.said("test -e never || echo free") == (0, "free\n")


async def test_a_caller_who_leaves_before_its_turn_takes_the_command_back(build: Stage):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, "echo begun; read line")
        await build.shows("begun")
        with trio.move_on_after(0.05):
            await build.run("touch never")
        await build.call("keys", name="build", keys="enter")
    await build.run("true")
    assert not (build.kernel.project.root / "never").exists()


async def test_a_caller_who_leaves_does_not_stop_what_has_begun(build: Stage):
    go_on = build.kernel.project.root / "go"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, f"echo begun; until [ -e {go_on} ]; do sleep 0.02; done; echo done > mark")
        await build.shows("begun")
        nursery.cancel_scope.cancel()
    go_on.touch()
    await build.run("true")  # comes after it, and is stored after it
    first, _ = await build.call("read", name="build")
    assert (first.exit, first.stdout) == (0, "begun\n")
    assert (build.kernel.project.root / "mark").exists()


async def test_what_somebody_left_at_the_prompt_is_no_part_of_a_command(build: Stage):
    await build.call("keys", name="build", keys="rm -rf nothing-that-")
    await build.shows("rm -rf nothing-that-")
    assert await build.said("echo clean") == (0, "clean\n")


async def test_a_command_waits_for_what_a_person_typed(build: Stage):
    await build.call("keys", name="build", keys="sleep 0.5; echo typed > typed\r")
    await build.state("busy")
    run = await build.run("cat typed")
    assert run.stdout == "typed\n"


async def test_two_who_open_one_name_get_one_terminal(stage: Stage):
    told: list[str] = []

    async def spawn() -> None:
        try:
            await stage.spawn()
        except Refused as refusal:
            told.append(str(refusal))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(spawn)
        nursery.start_soon(spawn)
    assert told == ["the terminal 'build' is open already; run commands in it, or close it first"]
    assert len(await stage.call("list")) == 1


# -- looking on -------------------------------------------------------------------------------------------------------


async def test_progress_is_told_while_a_command_runs(build: Stage):
    told: list[str] = []
    go = trio.Event()

    def tell(text: str) -> None:
        told.append(text)
        go.set()

    async with trio.open_nursery() as nursery:

        async def run() -> None:
            with progress(tell):
                await build.run("sleep 0.4; echo first; read line; echo last")

        nursery.start_soon(run)
        with trio.fail_after(10):
            await go.wait()
        assert told == ["first"]
        await build.call("keys", name="build", keys="enter")
    assert told[-1].endswith("last")


async def test_tail_follows_until_the_end(build: Stage):
    told: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, "echo one; read line; echo two")
        await build.shows("one")
        assert (await build.call("tail", name="build", lines=1)) == "one"

        async def follow() -> None:
            with progress(told.append):
                told.append(await build.call("tail", name="build", follow=True, lines=3))

        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        await build.call("keys", name="build", keys="enter")
    assert "two" in told[0].splitlines()
    assert "two" in told[-1].splitlines()


# -- mail -------------------------------------------------------------------------------------------------------------


async def test_subscribers_are_woken_with_exit_code_and_tail(build: Stage):
    eve, bob = await build.agent("eve"), await build.agent("bob")
    assert (await build.call("subscribe", eve, name="build")).subscribers == ["eve"]
    await build.call("subscribe", bob, name="build")
    await build.run("seq 1 20; exit_code() { return 3; }; exit_code", bob)
    await until(lambda: build.heard(eve))
    head, _id, *body = build.heard(eve)[0].replace("\n  ", "\n").splitlines()
    assert head.startswith("> from term:build · 2026-01-05T10:00:0")
    assert body[0] == "$ seq 1 20; exit_code() { return 3; }; exit_code  · run by agent:bob"
    assert re.fullmatch(r"exit 3 · \d+\.\d\ds", body[1])
    assert body[2:] == ["──", *map(str, range(13, 21))]
    assert build.heard(bob) == [], "whose run it is hears nothing"
    await build.run("true", eve)
    await until(lambda: build.heard(bob))
    await build.run("true")
    await until(lambda: len(build.heard(eve)) == 2 and len(build.heard(bob)) == 2)


async def test_a_person_who_subscribes_is_told_of_others_runs_only(build: Stage):
    await build.call("subscribe", name="build")
    await build.run("echo mine")
    await build.run("echo theirs", BO)
    assert [body.splitlines()[-1] for body in build.bodies()] == ["theirs"]


async def test_a_subscription_on_a_pattern_or_an_exit_code(build: Stage):
    for who, wish in {
        "fails": {"exit": "nonzero"}, "two": {"exit": "2"}, "says": {"pattern": "FAILED*test_x"},
        "both": {"pattern": "FAILED", "exit": "1"},
    }.items():  # fmt: skip
        await build.call("subscribe", Caller("human", who), name="build", **wish)
    await build.run("echo FAILED a.py::test_x; (exit 1)")
    await build.run("(exit 2)")
    await build.run("echo FAILED; echo test_x")
    told = {
        who: [b.splitlines()[1][:6] for b in build.bodies(f"human:{who}")] for who in ("fails", "two", "says", "both")
    }
    assert told == {"fails": ["exit 1", "exit 2"], "two": ["exit 2"], "says": ["exit 1"], "both": ["exit 1"]}
    with pytest.raises(Refused, match="exit 'bad' is neither a number nor `nonzero`"):
        await build.call("subscribe", name="build", exit="bad")


async def test_a_pattern_is_told_while_the_run_goes_on_and_once(build: Stage):
    eve = await build.agent("eve")
    await build.call("subscribe", eve, name="build", pattern="listening on *8080")
    await build.call("subscribe", BO, name="build", pattern="listening", exit="0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, "echo one; echo listening on :8080; read line; echo listening on :8080")
        await until(lambda: build.heard(eve))
        body = build.heard(eve)[0].replace("\n  ", "\n").splitlines()[2:]
        assert re.fullmatch(r"still running · \d+\.\d\ds", body[1])
        assert body[2:] == ["──", "one", "listening on :8080"]
        assert build.bodies("human:bo") == [], "how it ends is to be known, too"
        await build.call("keys", name="build", keys="enter")
    assert len(build.bodies("human:bo")) == 1
    await build.run("echo another")
    assert len(build.heard(eve)) == 1


async def test_a_pattern_is_told_past_the_runs_time(build: Stage):
    await build.call("subscribe", BO, name="build", pattern="ready")
    run = await build.run("echo begun; read line; echo ready; read line", timeout=0.2)
    assert run.timed_out
    await build.call("keys", name="build", keys="enter")
    await until(lambda: build.bodies("human:bo"))
    await build.call("keys", name="build", keys="enter")
    await build.state("idle")
    assert len(build.bodies("human:bo")) == 1


async def test_who_unsubscribed_or_is_gone_hears_nothing(build: Stage):
    eve, bob = await build.agent("eve"), await build.agent("bob")
    for agent in (eve, bob):
        await build.call("subscribe", agent, name="build")
    await build.call("unsubscribe", eve, name="build")
    await build.kernel.roster.close(bob)
    await build.run("echo hello")
    await build.run("echo again")
    assert build.heard(eve) == []
    assert (await build.call("subscribe", name="build")).subscribers == ["human:anna"]


async def test_a_subscription_outlasts_a_close_and_a_rename(build: Stage):
    eve = await build.agent("eve")
    await build.call("subscribe", eve, name="build")
    await build.kernel.roster.rename(eve, "wry-hopper")
    await build.call("close", name="build")
    await build.spawn()
    await build.run("echo still")
    await until(lambda: build.heard(eve))


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"name": "No Good"}, "cannot be a terminal's name"),
        ({"name": "../x"}, "cannot be a terminal's name"),
        ({"cwd": "nowhere"}, "there is no folder"),
        ({"cwd": "a\0b"}, "there is no folder"),
        ({"shell": "nonsuch"}, "there is no shell 'nonsuch' on PATH"),
        ({"shell": "python3"}, "python3 is not supported"),
        ({"env": {"A=B": "c"}}, "'A=B' cannot be an environment variable"),
        ({"env": {"A": "c\0d"}}, "'A' cannot be an environment variable"),
        ({"env": {"A": "\ud800"}}, "half a character"),
    ],
)
async def test_a_terminal_that_cannot_be(stage: Stage, args: dict, sentence: str):
    with pytest.raises(Refused, match=re.escape(sentence)):
        await stage.spawn(**args)
    assert await stage.call("list") == []


async def test_commands_and_keys_that_cannot_be(build: Stage):
    for cmd in ("", "  \n", "a\0b", "x" * 60_001):
        with pytest.raises(Refused, match="a command has 1 to 60,000 bytes"):
            await build.run(cmd)
    with pytest.raises(Refused, match="half a character"):
        await build.call("keys", name="build", keys="\ud800")
    for verb, args in {"run": {"cmd": "x"}, "keys": {"keys": "x"}, "read": {}, "tail": {}, "screen": {}}.items():
        with pytest.raises(NotFound, match=r"there is no terminal 'buidl' \(terminals: build\).*build"):
            await build.call(verb, name="buidl", **args)
    assert await build.said("echo fine") == (0, "fine\n")


async def test_the_longest_command_runs(build: Stage):
    text = "x" * 59_000
    exit_, said = await build.said(f"echo {text} | wc -c")
    assert (exit_, said.strip()) == (0, "59001")


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ("ctrl-c", "\x03"), ("up up enter", "\x1b[A\x1b[A\r"), ("ctrl-[", "\x1b"), ("y enter", "y\r"),
        ("press up or down", "press up or down"), ("git commit  enter", "git commit \r"), (":wq\r", ":wq\r"),
    ],
)  # fmt: skip
def test_what_keys_send(keys: str, sent: str):
    assert pressed(keys) == sent


async def test_a_question_is_answered(build: Stage):
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            assert (await build.run("read -p 'sure? ' answer; echo $answer")).stdout.endswith("y\n")

        nursery.start_soon(ask)
        await build.shows("sure?")
        await build.call("keys", name="build", keys="y enter")


async def test_a_program_that_reads_nothing_takes_no_endless_keys(build: Stage):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, "stty -icanon; echo begun; sleep 60")
        await build.shows("begun")
        with pytest.raises(Refused, match=r"the program in build does not read: it took \d+ of 100000 bytes"):
            await build.call("keys", name="build", keys="x" * 100_000)
        await build.call("close", name="build")
    assert (await build.call("read", name="build"))[0].stderr == "pty closed"


class Full:
    """A plugin that comes before terminals, and leaves the kernel without a place for sockets."""

    name = "full"

    @hookimpl
    def aegis_interceptors(self, kernel):
        with kernel.project.folder() as state:
            state.replace("kernel.lock", b"1\nthere is no place for sockets\n")
        return []


async def test_terminals_that_cannot_be_say_why_to_whoever_asks(kernel_with, plugins):
    async with kernel_with(full=Full(), **plugins) as kernel:
        client = kernel.client(Caller("human", "anna"))
        assert await client.call("term list") == []
        for verb, args in (("term spawn", {"name": "t"}), ("term run", {"name": "t", "cmd": "x"})):
            with pytest.raises(Refused, match="there are no terminals here: there is no place for sockets"):
                await client.call(verb, args)
        assert any("no place for sockets" in fault.error for fault in kernel.faults)


async def test_a_folder_for_sockets_that_is_gone_is_said(stage: Stage):
    await stage.spawn()
    shutil.rmtree(stage.kernel.project.runtime())
    with pytest.raises(AegisError, match=r"is gone .*start aegis anew"):
        await stage.call("spawn", name="second")
