"""A terminal that takes nothing any more, or is no longer there: the visit ends all the same."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from repl_terminal import STAGE


@contextmanager
def kernel(folder):
    """Enter a kernel in a process of its own."""
    command = [sys.executable, str(STAGE), str(folder), "--serve", "aa"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"serving\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def console(folder):
    """Enter a console on it, and the other end of its terminal, read up to its first prompt."""
    ours, theirs = pty.openpty()
    command = [sys.executable, str(STAGE), str(folder), "--attach"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            seen = b""
            while "›".encode() not in seen:
                seen += os.read(ours, 65_536)
            yield process, ours
        finally:
            process.kill()


@pytest.mark.leaks("the console's other end is closed in the test")
def test_a_stalled_terminal_keeps_nobody_from_leaving(tmp_path):
    with kernel(tmp_path) as serving, console(tmp_path) as (process, terminal):
        os.write(terminal, b"flood 5000 500\r")
        while b"flood line" not in os.read(terminal, 65_536):
            pass
        serving.send_signal(signal.SIGKILL)  # nobody reads the terminal from here on
        process.wait(5)
        assert process.returncode == 1
        assert process.stderr.read() == b""
        os.close(terminal)


def test_a_terminal_that_is_gone_ends_the_visit(tmp_path):
    with kernel(tmp_path), console(tmp_path) as (process, terminal):
        os.close(terminal)
        process.wait(5)
        assert process.returncode in (0, 1)
        assert b"Traceback" not in process.stderr.read()
