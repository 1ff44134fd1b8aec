"""Whatever a command starts is ended with it, however it left: and nobody else is, or is even looked at."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import trio

from aegis.clock import new_id
from aegis.testing.processes import runs, those, with_variable
from aegis_processes import proc
from aegis_processes.ancestry import origins
from aegis_processes.leftovers import MARK, Leftovers
from aegis_processes.processes import Command, Process, ProcessError, running

linux = pytest.mark.skipif(not proc.lists_children(), reason="only Linux says whose child a process is")


def sh(script: str, folder: Path, **env: str) -> Command:
    return Command(["/bin/sh", "-c", script], {"PATH": os.environ["PATH"], **env}, folder)


def python(script: str, folder: Path, *words: str) -> Command:
    return Command([sys.executable, "-c", script, *words], {"PATH": os.environ["PATH"]}, folder)


async def said(process: Process, number: int = 1) -> list[str]:
    """Return so many lines."""
    lines: list[str] = []
    with trio.fail_after(30):
        while len(lines) < number:
            lines += [line.decode() for line in await process.lines()]
    return lines


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not true():
            await trio.lowlevel.checkpoint()


def child(*argv: str, **env: str) -> subprocess.Popen[bytes]:
    """Return a child that the library knows nothing of."""
    return subprocess.Popen(argv, env={"PATH": os.environ["PATH"], **env})


def given_again(pid: int) -> subprocess.Popen[bytes]:
    """Return a stranger that has this number now."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    if not os.access(last, os.W_OK):
        pytest.skip("only root of Linux can have a number given again")
    for _ in range(200):
        last.write_text(str(pid - 1))
        stranger = child("sleep", "300")
        if stranger.pid == pid:
            return stranger
        stranger.kill()
        stranger.wait()
    pytest.skip("others were faster every time")


def named(word: str) -> list[psutil.Process]:
    """Return the processes that run with this word on their command line."""
    return those(lambda process: word in process.cmdline())


def unread() -> list[int]:
    """Return our children that have ended, and whose end nobody has read yet."""
    return [pid for pid in proc.children(os.getpid()) if (seen := proc.stat(pid)) and seen.ended]


# -- however it left ---------------------------------------------------------------------------------------------------

DAEMON = """
import os, sys
if os.fork():
    os.wait()
    print("up", flush=True)
    sys.stdin.read()
    sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(0, 3)
os.execve("/bin/sh", ["sh", "-c", "while :; do sleep 300; done", sys.argv[1]], {})
"""
ORPHAN = """
import os, sys
if os.fork():
    sys.exit()
os.setsid()
print("up", flush=True)
os.closerange(0, 3)
os.execve("/bin/sh", ["sh", "-c", "while :; do sleep 300; done", sys.argv[1]], {})
"""


@linux
@pytest.mark.parametrize("script", [DAEMON, ORPHAN], ids=["a daemon", "an orphan of one that died before"])
async def test_who_left_session_parent_and_environment_is_ended_too(tmp_path: Path, script: str) -> None:
    word = new_id()
    async with trio.open_nursery() as nursery:
        async with running(python(script, tmp_path, word), nursery) as process:
            assert await said(process) == ["up"]
            if script == ORPHAN:
                with pytest.raises(ProcessError, match=r"closed its output|exited with code 0"):
                    await process.lines()
            await until(lambda: bool(those(lambda p: p.environ() == {}, named(word))))
            assert runs(process.pid) is (script == DAEMON)
    assert named(word) == []


COMETS = """
import os, sys
print("up", flush=True)
os.closerange(0, 3)
while True:
    if os.fork():
        os._exit(0)
    if sys.argv[2] == "alone":
        os.setsid()
"""


@linux
@pytest.mark.parametrize("how", ["together", "alone"])
async def test_a_family_whose_members_end_as_fast_as_they_start_others_is_ended(tmp_path: Path, how: str) -> None:
    word = new_id()
    async with trio.open_nursery() as nursery:
        async with running(python(COMETS, tmp_path, word, how), nursery) as process:
            assert await said(process) == ["up"]
    await until(lambda: named(word) == [] and not unread())


GROWING = """
import os, sys, time
print("up", flush=True)
for n in range(2):
    os.fork()
while True:
    if not os.fork():
        os.setsid()
        time.sleep(0.01)
        os._exit(0)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
"""


@linux
async def test_a_family_that_goes_on_forking_while_it_is_ended_is_ended(tmp_path: Path) -> None:
    word = new_id()
    async with trio.open_nursery() as nursery:
        async with running(python(GROWING, tmp_path, word), nursery) as process:
            assert await said(process) == ["up"]
            await until(lambda: len(named(word)) > 3)
    await until(lambda: named(word) == [] and not unread())


@linux
async def test_each_of_two_commands_has_its_own(tmp_path: Path) -> None:
    ours, other = new_id(), new_id()
    async with trio.open_nursery() as nursery, running(python(DAEMON, tmp_path, other), nursery) as second:
        assert await said(second) == ["up"]
        async with running(python(DAEMON, tmp_path, ours), nursery) as first:
            assert await said(first) == ["up"]
            await until(lambda: bool(named(ours)) and bool(named(other)))
        assert named(ours) == []
        assert len(those(lambda p: p.name() == "sh", named(other))) == 1
    assert named(other) == []


@linux
async def test_whose_a_daemon_is_that_cleared_its_environment_is_known(tmp_path: Path) -> None:
    mark, word = new_id(), new_id()
    command = python(DAEMON, tmp_path, word)
    async with trio.open_nursery() as nursery:
        async with running(Command(command.argv, {**command.env, MARK: mark}, tmp_path), nursery) as process:
            assert await said(process) == ["up"]
            await until(lambda: bool(those(lambda p: p.environ() == {}, named(word))))
            [daemon] = those(lambda p: p.environ() == {} and p.ppid() == os.getpid(), named(word))
            assert origins(daemon.pid) == [(daemon.pid, mark)]


@linux
async def test_what_a_command_is_has_its_number_from_the_first_moment_on(tmp_path: Path) -> None:
    script = "grep 'realtime timeout' /proc/self/limits; (env -i setsid grep 'realtime timeout' /proc/self/limits)"
    seen = set()
    for _ in range(20):
        async with trio.open_nursery() as nursery, running(sh(script, tmp_path), nursery) as process:
            lines = {tuple(line.split()) for line in await said(process, 2)}
        assert len(lines) == 1
        seen |= lines
    assert len(seen) == 20
    assert resource.getrlimit(resource.RLIMIT_RTTIME)[0] not in {int(line[3]) for line in seen}, "ours is as it was"


# -- the dead ----------------------------------------------------------------------------------------------------------


@linux
async def test_an_orphan_that_ends_before_its_command_is_reaped_and_a_child_of_others_is_not(tmp_path: Path) -> None:
    mark = new_id()
    other = child("/bin/sh", "-c", "exit 7", **{MARK: mark})
    async with trio.open_nursery() as nursery:
        async with running(
            sh("(setsid sh -c 'echo $$; exec sleep 300' &); cat", tmp_path, **{MARK: mark}), nursery
        ) as p:
            orphan = int((await said(p))[0])
            await until(lambda: psutil.Process(orphan).ppid() == os.getpid())
            os.kill(orphan, 9)
            await until(lambda: not psutil.pid_exists(orphan))
    assert other.wait() == 7


async def test_a_number_that_was_given_again_is_not_the_commands(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with running(sh("exit 0", tmp_path, **{MARK: new_id()}), nursery) as process:
            with pytest.raises(ProcessError, match="exited with code 0"):
                await process.lines()
            stranger = given_again(process.pid)
        assert stranger.poll() is None
    stranger.kill()
    assert stranger.wait() == -9


# -- what is looked at -------------------------------------------------------------------------------------------------

COUNT = """
import json, os, subprocess, sys, trio
from contextlib import AsyncExitStack
from pathlib import Path
from aegis_processes.processes import MARK, Command, running
opened, on = [], False
def note(event, args):
    if on and event in ("open", "os.listdir", "os.scandir"):
        opened.append(str(args[0]))
def command(mark, *argv):
    return Command(argv, {**os.environ, MARK: mark}, Path("/"))
sys.addaudithook(note)
async def main():
    global on
    counts = []
    async with trio.open_nursery() as nursery, AsyncExitStack() as others:
        for n in range(5):
            await others.enter_async_context(running(command(f"other{n}", "cat"), nursery))
        for strangers in (0, 40):
            crowd = "i=0; while [ $i -lt %d ]; do sleep 60 <&- >&- 2>&- & i=$((i+1)); done" % strangers
            crowd = subprocess.Popen(["setsid", "sh", "-c", crowd + "; echo up; wait"], stdout=subprocess.PIPE)
            crowd.stdout.readline()
            for script in ("cat", "setsid env -i sleep 300 & echo up; cat"):
                async with running(command("x", "sh", "-c", script), nursery) as p:
                    if "up" in script:
                        await p.lines()
                    opened.clear()
                    on = True
                on = False
                counts.append(len({path for path in opened if "/proc" in path}))
            os.killpg(crowd.pid, 9)
            crowd.wait()
    print(json.dumps(counts))
trio.run(main)
"""


@linux
def test_ending_a_command_opens_as_many_files_of_proc_however_many_others_run() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    counts = json.loads(done.stdout)
    assert counts[:2] == counts[2:]
    assert counts[0] == 1
    assert counts[1] < 20


WITHOUT = """
import os, resource, sys, trio
from pathlib import Path
resource.setrlimit(resource.RLIMIT_RTTIME, (10**9, 10**9))  # so that no command can have a number here
from aegis_processes.processes import MARK, Command, running
async def main():
    async with trio.open_nursery() as nursery:
        argv = ["sh", "-c", "setsid sleep 300 & env -i sleep 300 & echo up; cat"]
        command = Command(argv, {**os.environ, MARK: sys.argv[1]}, Path("/"))
        async with running(command, nursery) as process:
            assert await process.lines() == [b"up"]
            import psutil
            children = psutil.Process(process.pid).children(recursive=True)
            while len(children) < 3:
                children = psutil.Process(process.pid).children(recursive=True)
    print(len(children), [c for c in children if c.is_running() and c.status() != "zombie"])
trio.run(main)
"""


@linux
def test_where_families_are_not_known_all_processes_are_looked_at() -> None:
    """It is the way of every system but Linux."""
    done = subprocess.run([sys.executable, "-c", WITHOUT, new_id()], capture_output=True, text=True, check=True)
    assert done.stdout == "3 []\n"


# -- after the end of a process that was killed ------------------------------------------------------------------------


async def test_leftovers_of_a_killed_process_are_ended_and_others_are_not(tmp_path: Path) -> None:
    old, new = new_id(), new_id()
    left, stays = (child("sleep", "300", **{MARK: mark}) for mark in (old, new))
    await until(lambda: len(with_variable(MARK, old, new)) == 2)
    await Leftovers(killed=False).end([old])
    assert left.poll() is None
    leftovers = Leftovers(killed=True)
    await leftovers.end([old, new_id()])
    assert left.wait() == -9
    assert stays.poll() is None
    later = child("sleep", "300", **{MARK: old})
    await leftovers.end([old])
    assert later.poll() is None, "what runs since the look is not left over"
    for process in (stays, later):
        process.kill()
        process.wait()
