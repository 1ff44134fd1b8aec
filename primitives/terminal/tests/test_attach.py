"""A person sits down at a shared terminal from a real one of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import trio
from terminal_stage import Stage, needs

from aegis import Caller, NotFound, Refused

PATIENCE = 15


class Person:
    """Somebody's terminal in which a program runs."""

    def __init__(self, argv: list[str], rows: int = 30, columns: int = 100) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        self.seen = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def sees(self, pattern: str) -> str:
        """Return what was seen up to the pattern, and forget it."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < until, f"{pattern!r} is not in {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65_536).decode(errors="replace")
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def ends(self) -> int:
        """Return the exit code of the program, which left the terminal as it was."""
        code = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.slave) == self.before
        return code


@contextmanager
def sitting(*words: str, **size: int) -> Iterator[Person]:
    person = Person([sys.executable, "-m", "aegis_terminal.attach", *words], **size)
    try:
        yield person
    finally:
        person.process.kill()
        person.process.wait()
        os.close(person.master)
        os.close(person.slave)


async def off(function, *args, **kwargs):
    """Return what the function returns; it blocks, and the kernel goes on meanwhile."""
    return await trio.to_thread.run_sync(partial(function, *args, **kwargs))


@pytest.fixture
async def build(stage: Stage) -> Stage:
    await stage.spawn()
    await stage.run("PS1='here> '; clear")
    return stage


def at(stage: Stage, name: str = "build") -> list[str]:
    return ["-C", str(stage.kernel.project.root), name]


async def test_keys_go_in_and_output_comes_out(build: Stage):
    await build.run("echo before")
    with sitting(*at(build)) as anna:
        await off(anna.sees, "before")
        anna.types("echo $((40 + 2))\r")
        await off(anna.sees, r"\b42\b")
        run = await build.run("echo from elsewhere")
        await off(anna.sees, "from elsewhere\r\n")
        assert run.stdout == "from elsewhere\n"
        anna.types("\x1d")
        await off(anna.sees, re.escape("[detached from build; its shell goes on]"))
        assert await off(anna.ends) == 0
    assert await build.said("echo on") == (0, "on\n")


async def test_the_size_follows_the_person_and_goes_back(build: Stage):
    with sitting(*at(build), rows=31, columns=101) as anna:
        await off(anna.sees, "here>")
        anna.types("stty size\r")
        await off(anna.sees, "31 101")
        anna.resize(20, 60)
        os.kill(anna.process.pid, 28)  # SIGWINCH, which the system sends to a foreground process only
        await build.run("true")
        with trio.fail_after(10):
            while (await build.run("stty size")).stdout != "20 60\n":
                pass
        with sitting(*at(build), rows=40, columns=120) as bo:
            await off(bo.sees, "here>")
            bo.types("stty size\r")
            await off(bo.sees, "40 120")
            bo.types("\x1d")
            await off(bo.ends)
        with trio.fail_after(10):
            while (await build.run("stty size")).stdout != "20 60\n":
                pass
        anna.types("\x1d")
        await off(anna.ends)
    with trio.fail_after(10):
        while (await build.run("stty size")).stdout != "24 80\n":
            pass


async def test_ctrl_c_is_for_the_program_there(build: Stage):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, "echo begun; sleep 600")
        await build.shows("begun")
        with sitting(*at(build)) as anna:
            await off(anna.sees, "begun")
            anna.types("\x03")
            await build.state("idle")
            anna.types("\x1d")
            assert await off(anna.ends) == 0
    assert (await build.call("read", name="build"))[-1].exit == 130


@needs["vim"]
async def test_a_full_screen_program_is_worked_in(build: Stage):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(build.run, "vim -u NONE -i NONE -n new.txt")
        with sitting(*at(build)) as anna:
            await build.shows("~~~")  # its empty lines: its message about the file goes when the size changes
            anna.types("ihello from anna\x1b:wq\r")
            await build.state("idle")
            anna.types("\x1d")
            await off(anna.ends)
    assert (build.kernel.project.root / "new.txt").read_text() == "hello from anna\n"


async def test_the_end_of_the_shell_is_said(build: Stage):
    with sitting(*at(build)) as anna:
        await off(anna.sees, "here>")
        anna.types("exit\r")
        await off(anna.sees, re.escape("[build has ended]"))
        assert await off(anna.ends) == 0


async def test_what_cannot_be_attached_is_said(build: Stage):
    with sitting(*at(build, "buidl")) as anna:
        await off(anna.sees, r"aegis-term: there is no terminal 'buidl' \(terminals: build\)")
        assert await off(anna.ends) == 1
    with sitting("-C", "/", "build") as anna:
        await off(anna.sees, "cannot connect to .*; is aegis running there")
        assert await off(anna.ends) == 1
    pipes = [sys.executable, "-m", "aegis_terminal.attach", *at(build)]
    done = await off(subprocess.run, pipes, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1, "aegis-term: this needs a terminal; `aegis term tail` and `aegis term screen` do not\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    "line", [b"\xff", b"{", b"[]", b"{}", b'{"terminal": 7}', b"[" * 60_000], ids=lambda line: repr(line)[:20]
)
async def test_a_request_that_cannot_be_read_is_answered(build: Stage, line: bytes):
    path = (await build.call("attach", name="build")).argv[-2]
    for asked in (line, b'{"terminal": "buidl"}'):
        with trio.fail_after(PATIENCE):
            async with await trio.open_unix_socket(path) as stream:
                await stream.send_all(asked + b"\n")
                assert b'"error"' in await stream.receive_some()


async def test_the_verb_gives_the_command(build: Stage):
    command = await build.call("attach", name="build")
    assert "type there: `" in str(command)
    with sitting(*command.argv[3:]) as anna:
        await off(anna.sees, "here>")
        anna.types("echo $((40 + 2))\r")
        await off(anna.sees, r"\b42\b")
        anna.types("\x1d")
        await off(anna.ends)
    with pytest.raises(NotFound):
        await build.call("attach", name="nonsuch")
    with pytest.raises(Refused, match="may not use 'term attach'"):
        await build.call("attach", Caller("agent", "eve"), name="build")


async def test_a_watcher_who_does_not_read_slows_nobody(build: Stage):
    with sitting(*at(build)) as anna:
        await off(anna.sees, "here>")
        run = await build.run("yes 0123456789 | head -c 20000000; echo END")  # nobody reads anna's screen
        assert run.exit == 0
        assert run.stdout.endswith("END\n")
        anna.types("\x1d")
        await off(anna.sees, "detached from build")


async def test_a_person_who_leaves_in_the_middle_of_output_ends_nothing_else(build: Stage):
    socket_path = (await build.call("attach", name="build")).argv[-2]
    run = await build.run("yes 0123456789 & sleep 0.01", name="build")
    assert run.exit == 0
    for sent in (b'{"terminal": "build"}\n', b'{"terminal": "build"}\ns\0\0\0\1x', b"[]\n", b"\xff\n", b"{}\n", b"k"):
        for _ in range(5):
            stream = await trio.open_unix_socket(socket_path)
            await stream.send_all(sent)
            with trio.move_on_after(1):
                await stream.receive_some(10)
            stream.socket.close()  # with output unread: what aegis sends next breaks
    assert await build.said("kill %1; echo alive")
    await build.state("idle")


async def test_an_agents_process_does_not_attach(build: Stage, monkeypatch: pytest.MonkeyPatch):
    """Keys of a person are asked about by nobody: an agent's own `aegis-term` is told to use the verbs."""
    eve = await build.agent("eve", "write")
    monkeypatch.setenv("AEGIS_AGENT", eve.id)
    with sitting(*at(build)) as pretender:
        await off(pretender.sees, "a terminal is attached by people; agents use `term run`")
        assert await off(pretender.ends) == 1


async def test_it_is_known_for_whom_a_shell_works(build: Stage):
    """What runs in a shared shell is the act of who had it run: asked by the control socket of each connection."""
    eve, ask = await build.agent("eve"), Caller("system", "control")
    [pid] = [row.pid for row in await build.call("list")]

    async def whose() -> str:
        return str(await build.kernel.verbs.call(ask, "term whose", {"pids": [1, pid]}))

    for who, expected in ((eve, eve.id), (build.kernel.roster.caller(eve).through("workflow"), eve.id), (None, "")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(build.run, "read x", **({"caller": who} if who else {})))
            await build.state("busy")
            assert await whose() == expected
            await build.call("keys", name="build", keys="enter")
    await build.state("idle")
    await build.call("keys", eve, name="build", keys="x")
    assert await whose() == eve.id, "its keys were the last"
    await build.call("keys", name="build", keys="ctrl-c")
    assert await whose() == ""
    with pytest.raises(Refused, match="may not use 'term whose'"):
        await build.call("whose", eve, pids=[pid])
