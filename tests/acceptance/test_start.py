"""The start: a prompt, and a socket for shells, before what only agents need is imported."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from contextlib import contextmanager

import pytest

PATIENCE = 40
HEAVY = re.compile(rb"\| +(?:fastmcp|mcp|mcp_types|hypercorn)\b")
PROMPT = "›".encode()
# The first thing that the plane's server imports: it says on the terminal that it is begun, and then waits for a word.
STUCK = """\
import os
os.write(1, b"<<import begun>>\\n")
with open({pipe!r}) as pipe:
    raise ImportError(pipe.read())
"""


class Console:
    """`aegis` at a terminal of the test's own, which is read up to what is waited for."""

    def __init__(self, aegis):
        self.terminal, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        termios.tcsetwinsize(theirs, (30, 100))
        self.theirs, self.seen = theirs, b""
        self.process = subprocess.Popen(
            [aegis.command], cwd=aegis.root, env=aegis.environment,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip

    def wait(self, *words: bytes) -> None:
        """Return once all words have come."""
        until = time.monotonic() + PATIENCE
        while not all(word in self.seen for word in words):
            assert select.select([self.terminal], [], [], max(0, until - time.monotonic()))[0], self.seen
            self.seen += os.read(self.terminal, 65_536)

    def type(self, keys: bytes) -> None:
        """Type the keys; what is waited for from here on comes afterwards."""
        self.seen = b""
        os.write(self.terminal, keys)

    def ended(self) -> int:
        """Return the exit code; the terminal is as it was."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < until, self.seen
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.seen += os.read(self.terminal, 65_536)
        assert termios.tcgetattr(self.theirs) == self.before
        assert b"Traceback" not in self.seen and b"Fatal" not in self.seen
        return self.process.returncode


@contextmanager
def console(aegis):
    opened = Console(aegis)
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        os.close(opened.terminal)
        os.close(opened.theirs)


@pytest.fixture
def stuck(aegis, tmp_path):
    """Have the import of the plane wait until something is written to the pipe, and then fail with that."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "modules").mkdir()
    for name in ("mcp", "fastmcp"):
        (tmp_path / "modules" / f"{name}.py").write_text(STUCK.format(pipe=str(pipe)))
    aegis.environment["PYTHONPATH"] = str(tmp_path / "modules")
    return pipe


def test_nothing_that_only_agents_need_is_imported_before_the_first_prompt(aegis):
    aegis.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    with console(aegis) as person:
        person.wait(PROMPT, b"fastmcp")
        assert person.seen.index(PROMPT) < HEAVY.search(person.seen).start()
        assert b" prompt_toolkit" in person.seen[: person.seen.index(PROMPT)], "imports are seen here"
        person.type(b"\x11")
        assert person.ended() == 0


def test_a_person_works_and_quits_while_the_plane_is_being_imported(aegis, stuck):
    with console(aegis) as person:
        person.wait(PROMPT, b"No agent is here yet", b"<<import begun>>")
        person.type(b"/plane status")
        person.wait(b"s")
        person.type(b"\r")
        person.wait(b"connected")
        person.type(b"\x11")
        assert person.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_console_whose_plane_is_being_imported(aegis, stuck, number):
    with console(aegis) as person:
        person.wait(b"<<import begun>>")
        person.process.send_signal(number)
        assert person.ended() == 0


def test_a_person_quits_at_the_first_prompt_and_during_the_import(aegis):
    for wait in ([PROMPT], [PROMPT, b"Ctrl+Q quit"]):
        with console(aegis) as person:
            person.wait(*wait)
            person.type(b"\x11")
            assert person.ended() == 0


def test_a_plane_that_cannot_be_imported_is_reported_and_the_rest_works(aegis, stuck):
    script = "script: [{do: [{say: good morning}]}]"
    (aegis.root / ".aegis.yaml").write_text(f"agents: {{brief: {{provider: scripted, {script}}}}}\n")
    with console(aegis) as person:
        person.wait(PROMPT, b"<<import begun>>")
        stuck.write_text("no such thing as a plane")
        person.wait(b"the agents' plane cannot be imported: ImportError: no such thing as a plane")
        person.type(b"hello\r")
        person.wait(b"good morning")
        person.type(b"\x11")
        assert person.ended() == 0


def test_a_shell_speaks_to_a_kernel_whose_plane_is_being_imported(aegis, stuck):
    with aegis.start("serve") as server:
        aegis.wait_for_line(server, "aegis runs in")
        assert aegis.json("sessions") == []
        aegis.end(server)
        assert server.returncode == 0
