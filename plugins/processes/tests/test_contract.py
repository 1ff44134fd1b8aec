"""CLIs as processes: real ones, misbehaving in every way a process can, and nothing left of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import psutil
import pytest
import trio

from aegis.clock import new_id
from aegis.testing.processes import runs, with_variable
from aegis_private.umask import closed
from aegis_processes.processes import MARK, Command, Process, ProcessError, running, sweep

Run = Callable[..., AbstractAsyncContextManager[Process]]


def sh(script: str, folder: Path, **env: str) -> Command:
    return Command(["/bin/sh", "-c", script], {"PATH": os.environ["PATH"], **env}, folder)


async def all_lines(process: Process) -> tuple[list[bytes], str]:
    """Read to the end; return the lines and the epitaph."""
    lines: list[bytes] = []
    with trio.fail_after(20):
        while True:
            try:
                lines += await process.lines()
            except ProcessError as error:
                return lines, str(error)


async def spoken(command: Command) -> tuple[list[bytes], str]:
    async with trio.open_nursery() as nursery, running(command, nursery) as process:
        return await all_lines(process)
    raise AssertionError


async def test_lines_arrive_whole_and_the_end_names_command_pid_and_code(tmp_path: Path) -> None:
    lines, end = await spoken(sh("printf 'a\\n\\nb'; printf 'c\\nlast'; exit 3", tmp_path))
    assert lines == [b"a", b"", b"bc", b"last"]
    assert "/bin/sh -c" in end
    assert "(pid " in end
    assert end.endswith("exited with code 3")


async def test_the_last_words_on_stderr_are_in_the_error(tmp_path: Path) -> None:
    for _ in range(10):
        _, end = await spoken(sh("for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 1", tmp_path))
        assert end.endswith("exited with code 1; it said: line 3\nline 4\nline 5\nline 6\nline 7")


async def test_words_that_arrive_a_little_after_the_death_are_in_the_error(tmp_path: Path) -> None:
    script = "(head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo late words >&2) >&- & exec >&-; exit 3"
    assert (await spoken(sh(script, tmp_path)))[1].endswith("late words")


async def test_a_signal_is_named(tmp_path: Path) -> None:
    assert (await spoken(sh("kill -SEGV $$", tmp_path)))[1].endswith("was ended by SIGSEGV")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["no-such-cli-anywhere"], "cannot start 'no-such-cli-anywhere': it is not installed, or not on PATH"),
        (["/"], "Permission denied"),
        (["bad\0name"], "null byte"),
    ],
)
async def test_what_cannot_be_started_is_said(tmp_path: Path, argv: list[str], why: str) -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(ProcessError, match=why):
            async with running(Command(argv, {"PATH": "/usr/bin:/bin"}, tmp_path), nursery):
                pytest.fail("it started")


async def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(ProcessError, match=r"its working folder .*gone does not exist"):
            async with running(sh("true", tmp_path / "gone"), nursery):
                pytest.fail("it started")


async def test_forty_megabytes_of_stderr_block_nothing_and_are_not_kept(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    flood = "head -c 40000000 /dev/zero | tr '\\0' 'x' >&2; echo; echo the end >&2; echo done"
    lines, end = await spoken(sh(flood, tmp_path))
    assert lines == [b"", b"done"]
    assert "the end" in end[-200_000:]
    assert psutil.Process().memory_info().rss - before < 20 * 2**20


async def test_a_line_of_64_mebibytes_passes(tmp_path: Path) -> None:
    lines, _ = await spoken(sh("head -c 67108864 /dev/zero | tr '\\0' 'x'; echo; echo after", tmp_path))
    assert [len(line) for line in lines] == [67_108_864, 5]


async def test_a_longer_line_than_allowed_is_cut_and_the_next_is_whole(tmp_path: Path) -> None:
    command = sh("head -c 5000000 /dev/zero | tr '\\0' 'x'; echo; echo after", tmp_path)
    lines, _ = await spoken(Command(command.argv, command.env, command.cwd, max_line=1_000_000))
    assert lines[0].endswith(b"... [line of 5000000 bytes cut]")
    assert len(lines[0]) < 2000
    assert lines[1:] == [b"after"]


async def test_what_is_written_arrives_also_from_several_writers(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery, running(sh("cat", tmp_path), nursery) as process:
        async with trio.open_nursery() as writers:
            for n in range(4):
                writers.start_soon(process.write, b"%d" % n * 200_000 + b"\n")
            lines: list[bytes] = []
            while len(lines) < 4:
                lines += await process.lines()
        assert sorted(lines) == [b"%d" % n * 200_000 for n in range(4)]


async def test_what_the_pipe_takes_is_in_it_before_others_have_their_turn(tmp_path: Path) -> None:
    others: list[str] = []

    async def other() -> None:
        others.append("had its turn")

    async with trio.open_nursery() as nursery, running(sh("cat", tmp_path), nursery) as process:
        nursery.start_soon(other)
        await process.write(b"a line\n")
        assert not others
        assert await process.lines() == [b"a line"]


async def test_after_a_cancelled_writer_no_line_follows_half_a_line(tmp_path: Path) -> None:
    lines: list[bytes] = []
    async with trio.open_nursery() as nursery, running(sh("cat", tmp_path), nursery) as process:
        scope, over = trio.CancelScope(), trio.Event()

        async def write() -> None:
            with scope, suppress(ProcessError):
                await process.write(b"x" * 1_000_000 + b"\n")
            with suppress(ProcessError):  # it may say that nothing can be written any more
                await process.write(b"next\n")
            over.set()

        nursery.start_soon(write)
        while not lines:  # the pipes are full by now, and the writer is in the middle of its line
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            with trio.fail_after(10):
                lines += await process.lines()
        await over.wait()
    assert {len(line) for line in lines} <= {1_000_000, 4}


async def test_writing_to_a_cli_that_is_gone_says_why(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery, running(sh("echo no key >&2; exit 4", tmp_path), nursery) as process:
        with pytest.raises(ProcessError, match="exited with code 4; it said: no key"):
            await _write_for_ever(process)


async def _write_for_ever(process: Process) -> None:
    while True:
        await process.write(b"x" * 100_000)


async def test_closed_output_of_a_living_cli_is_said(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with running(sh("exec >&-; sleep 60", tmp_path), nursery) as process:
            with pytest.raises(ProcessError, match="closed its output"):
                await process.lines()


STATES = {
    "obedient": "cat",
    "ignores stdin": "echo up; sleep 60",
    "ignores SIGTERM": "trap '' TERM; echo up; while :; do sleep 60; done",
    "dead": "exit 0",
    "floods": "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
    "closed pipes": "exec >&- 2>&-; sleep 60",
    "child in a session of its own": "setsid sleep 300 & echo up; cat",
    "child that hides": "env -i sleep 300 & echo up; cat",
    "child holds the pipes": "sleep 300 & echo up; exit 0",
    "stopped": "kill -STOP $$; sleep 60",
}


@pytest.mark.parametrize("state", STATES)
async def test_leaving_takes_a_second_and_leaves_no_process_and_no_descriptor(tmp_path: Path, state: str) -> None:
    mark = new_id()
    descriptors = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    async with trio.open_nursery() as nursery:
        async with running(sh(STATES[state], tmp_path, **{MARK: mark}), nursery) as process:
            if "up" in STATES[state]:
                assert await process.lines() == [b"up"]
            elif state != "obedient":
                await trio.to_thread.run_sync(_settled, process.pid)
            children = _children(process.pid)
            started = time.monotonic()
        took = time.monotonic() - started
    assert took < 2, f"it took {took:.2f} s"
    assert not psutil.pid_exists(process.pid)
    assert not _marked(mark)
    psutil.wait_procs(children, timeout=2)
    assert not [child for child in children if runs(child)]
    if descriptors:
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _settled(pid: int) -> None:
    """Wait until the shell has nothing more to do: it ended, sleeps, stopped, or runs for good."""
    for _ in range(200):
        try:
            if (
                psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
                or psutil.Process(pid).children()
            ):
                return
        except psutil.Error:
            return
        os.sched_yield()


def _marked(mark: str) -> list[psutil.Process]:
    return with_variable(MARK, mark)


async def test_a_cancelled_owner_leaves_no_process(tmp_path: Path) -> None:
    mark = new_id()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with running(sh("setsid sleep 300 & cat", tmp_path, **{MARK: mark}), nursery) as process:
                scope.cancel()
                await trio.sleep_forever()
    assert not psutil.pid_exists(process.pid)
    assert not _marked(mark)


async def test_a_sweep_kills_what_carries_the_mark_and_nothing_else(tmp_path: Path) -> None:
    mark, others = new_id(), new_id()
    async with trio.open_nursery() as nursery:
        async with (
            running(sh("echo up; sleep 60", tmp_path, **{MARK: mark}), nursery) as one,
            running(sh("echo up; sleep 60", tmp_path, **{MARK: others}), nursery) as other,
        ):
            await one.lines()
            await other.lines()
            await trio.to_thread.run_sync(sweep, {mark})
            assert not _marked(mark)
            with pytest.raises(ProcessError, match=signal.SIGKILL.name):
                await one.lines()
            assert psutil.Process(other.pid).is_running()


async def test_nothing_that_is_swept_acts_on_the_end_of_another(tmp_path: Path) -> None:
    mark, script = new_id(), "for i in $(seq 40); do (while :; do sleep 60; echo again; done) & done; echo up; wait"
    async with trio.open_nursery() as nursery:
        async with running(sh(script, tmp_path, **{MARK: mark}), nursery) as process:
            assert await process.lines() == [b"up"]
            while len(_marked(mark)) < 81:
                await trio.lowlevel.checkpoint()
            await trio.to_thread.run_sync(sweep, {mark})
            assert not _marked(mark)
            with pytest.raises(ProcessError, match=signal.SIGKILL.name):  # it says nothing before its end
                await process.lines()


async def test_a_command_has_the_persons_own_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with closed():
            command = Command(["/bin/sh", "-c", "umask"], dict(os.environ), tmp_path)
            async with trio.open_nursery() as nursery, running(command, nursery) as process:
                assert await process.lines() == [b"0027"]
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["claude", "--print", "a b"], "claude --print 'a b'"),
        (["/opt/" + "x" * 80 + "/claude", "-p"], "/opt/" + "x" * 80 + "/claude -p"),
        (["gemini", "--policy", "/tmp/" + "x" * 80, "--acp"], "gemini --policy … --acp"),
        (["agent", "--settings=" + "x" * 80, "-c"], "agent --settings=… -c"),
        (["agent", *(f"-{n}" for n in range(14))], f"agent {' '.join(f'-{n}' for n in range(11))} … (3 words more)"),
        (
            ["agent", *(f"-{n}" for n in range(10)), "--model", "m", "x"],
            f"agent {' '.join(f'-{n}' for n in range(10))} … (3 words more)",
        ),
        ([], "''"),
    ],
)
def test_a_command_is_shown_in_whole_words(argv, shown):
    assert str(Command(argv, {}, Path())) == shown
