"""Floods of connections, with the usual limit of open files: people are answered meanwhile, and agents too."""

from __future__ import annotations

import resource
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from aegis.project import Project
from aegis_cli.socket_path import socket_of

FLOOD, CONTROL = 1_000, 200
USUAL = (1024, 1024)  # what `ulimit -n` says where nobody changed it; here the hard limit too
COMMANDS = (("sessions",), ("task", "list"), ("plane", "status"), ("message", "list"))


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, USUAL)


def plane_of(aegis) -> tuple[str, int]:
    while not (said := aegis.json("plane", "status")["url"]):  # people can ask before agents can
        pass
    url = urlsplit(said)
    return str(url.hostname), int(url.port or 0)


def half_open(stack: ExitStack, family: int, place: object, words: bytes) -> None:
    """Open a connection and say half of a request."""
    made = stack.enter_context(socket.socket(family))
    made.settimeout(30)
    while True:
        try:
            made.connect(place)
            made.sendall(words)
        except BlockingIOError:  # more wait to be let in than the system allows
            continue
        except ConnectionError:  # it had to give way
            pass
        return


@pytest.fixture
def flooded(aegis) -> Callable[[ExitStack], subprocess.Popen[str]]:
    """Serve with few descriptors, and open the flood."""

    def started(stack: ExitStack) -> subprocess.Popen[str]:
        server = aegis.start("serve", preexec_fn=limited)
        stack.callback(aegis.end, server)
        aegis.wait_for_line(server, "aegis runs in")
        place = plane_of(aegis)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for n in range(FLOOD):
            half_open(stack, socket.AF_INET, place, (b"", b"POST /mcp HTTP/1.1\r\nHost: local")[n % 2])
        for n in range(CONTROL):
            half_open(stack, socket.AF_UNIX, str(socket_of(Project(aegis.root))), (b"", b'{"jsonrpc":')[n % 2])
        return server

    return started


def test_people_are_answered_while_a_thousand_connections_are_half_open(aegis, flooded, record_property):
    with ExitStack() as stack:
        server = flooded(stack)
        for words in COMMANDS:
            began = time.monotonic()
            aegis.run(*words)
            record_property(" ".join(words), round(time.monotonic() - began, 2))
        assert aegis.says("stop").endswith("has ended")
        assert server.wait(20) == 0
        assert server.stderr.read() == ""  # nobody has to read of it


def test_agents_work_while_a_thousand_connections_are_half_open(aegis, flooded):
    with ExitStack() as stack:
        flooded(stack)
        for handle in ("ada", "bo"):
            aegis.run("spawn", "scripted", "--handle", handle)
        assert aegis.says("send", "ada", "tell bo the build is green", "--wait") == "landed at bo"


def test_people_are_answered_when_no_descriptor_is_left(aegis):
    """Agents have taken them all: what was kept back is for commands, first of all for the one that ends it."""
    with ExitStack() as stack:
        server = aegis.start("serve", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)))
        stack.callback(aegis.end, server)
        aegis.wait_for_line(server, "aegis runs in")
        for n in range(60):
            words = ["spawn", "scripted", "--handle", f"a{n}"]
            done = subprocess.run(
                [aegis.command, *words],
                cwd=aegis.root,
                env=aegis.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                break
        assert "Too many open files" in done.stderr
        assert len(aegis.json("sessions")) >= 3
        assert aegis.says("stop").endswith("has ended")
        assert server.wait(20) == 0
