"""Connections: who has not said who it is has a small share; a process with no descriptor left still answers."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from aegis_processes import descriptors
from aegis_processes.connections import ConnectionLimits, Connections, Peer, serve_connections

LIMITS = ConnectionLimits(owned=3, silent=2, total=5, patience=float("inf"), fresh=0)


class Server:
    """Answers each line with itself; a line `i am NAME` says who speaks, `work` keeps the connection busy."""

    def __init__(self, path: Path, limits: ConnectionLimits = LIMITS) -> None:
        self.path, self.connections = path, Connections(lambda: limits)
        self.failures: list[Exception] = []
        self.clients: list[Client] = []

    async def serve(self, stream: trio.SocketStream, peer: Peer) -> None:
        async for data in stream:
            words = data.decode().split()
            if words[:2] == ["i", "am"] and not peer.known(words[2]):
                await stream.send_all(b"too many")
                return
            peer.busy += words == ["work"]
            await stream.send_all(data)

    async def client(self, *said: str) -> Client:
        self.clients.append(client := Client(await trio.open_unix_socket(str(self.path))))
        for word in said:
            assert await client.say(word) == word
        return client


class Client:
    """One connection to the server."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def say(self, word: str) -> str:
        """Return the answer, empty when the connection has ended."""
        try:
            await self.stream.send_all(word.encode())
            return bytes(await self.stream.receive_some(1000)).decode()
        except trio.BrokenResourceError:
            return ""

    async def over(self) -> bool:
        """Wait until the server has closed the connection."""
        try:
            return await self.stream.receive_some(1) == b""
        except trio.BrokenResourceError:
            return True


@pytest.fixture
def open_server(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened(limits: ConnectionLimits = LIMITS) -> AsyncIterator[Server]:
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(path := tmp_path / "s"))
        made.listen(100)
        server = Server(path, limits)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(serve_connections, listener, server.serve, server.failures.append, server.connections)
            yield server
            nursery.cancel_scope.cancel()
        for client in server.clients:
            await client.stream.aclose()
        assert len(server.connections) == 0
        assert server.failures == []

    return opened


async def test_the_oldest_that_has_not_said_who_it_is_gives_way(open_server):
    async with open_server() as server:
        first, second = await server.client("x"), await server.client("x")
        third = await server.client("x")
        assert await first.over()
        assert (await second.say("y"), await third.say("y")) == ("y", "y")
        assert server.connections.of("") == 2


async def test_many_that_come_at_once_have_a_moment_to_say_who_they_are(open_server):
    async with open_server(ConnectionLimits(silent=2, fresh=float("inf"), patience=float("inf"))) as server:
        first, *others = [await server.client("x") for _ in range(8)]
        assert [await client.say("x") for client in (first, *others)] == ["x"] * 8
        await server.client("x")
        assert await first.over()


async def test_who_is_known_keeps_its_own_however_many_strangers_come(open_server):
    async with open_server() as server:
        ada = await server.client("i am ada")
        for _ in range(50):
            await server.client("x")
        assert await ada.say("x") == "x"
        assert (server.connections.of("ada"), server.connections.of("")) == (1, 2)


async def test_an_owner_with_too_many_loses_an_idle_one_of_its_own_and_nobody_elses(open_server):
    async with open_server() as server:
        bob = await server.client("i am bob")
        busy, idle, other = [await server.client("i am ada", *more) for more in (["work"], [], [])]
        assert await (await server.client()).say("i am ada") == "i am ada"
        assert await idle.over()
        assert [await client.say("x") for client in (bob, busy, other)] == ["x", "x", "x"]


async def test_one_more_than_all_its_busy_ones_is_refused(open_server):
    async with open_server() as server:
        busy = [await server.client("i am ada", "work") for _ in range(3)]
        assert await (await server.client()).say("i am ada") == "too many"
        assert [await client.say("x") for client in busy] == ["x"] * 3


async def test_all_owners_together_have_their_limit(open_server):
    async with open_server() as server:
        for name in ("ada", "ada", "bob", "bob", "cy"):
            await server.client(f"i am {name}", "work")
        assert await (await server.client()).say("i am dan") == "too many"


async def test_a_connection_that_says_nothing_is_closed(open_server):
    async with open_server(ConnectionLimits(patience=0.05)) as server:
        silent, known = await server.client(), await server.client("i am ada")
        assert await silent.over()
        assert await known.say("x") == "x"


async def test_closing_ends_what_waits(open_server):
    async with open_server() as server:
        clients = [await server.client("x"), await server.client("i am ada", "work")]
        server.connections.close()
        assert [await client.over() for client in clients] == [True, True]


# -- no descriptor left -----------------------------------------------------------------------------------------------

FULL = """
import os, resource, socket, sys, trio
from aegis_processes.connections import Connections, ConnectionLimits, serve_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
async def serve(stream, peer):
    peer.known("me")
    async for data in stream:
        await stream.send_all(b"%d" % len(failures))
failures, hoard = [], []
async def main():
    made = socket.socket(socket.AF_UNIX)
    made.bind(sys.argv[1])
    made.listen(100)
    connections = Connections(reserve=int(sys.argv[2]))
    connections.refill()
    try:
        while True:
            hoard.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    if sys.argv[2] == "0":
        async def later():
            while not failures:
                await trio.sleep(0.01)
            await trio.sleep(0.35)
            os.close(hoard.pop())
    else:
        async def later():
            pass
    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        print("full", flush=True)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
        await serve_connections(listener, serve, failures.append, connections)
trio.run(main)
"""


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    with ExitStack() as stack:

        def started(reserve: int) -> Path:
            path = tmp_path / "s"
            argv = [sys.executable, "-c", FULL, str(path), str(reserve)]
            server = stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE))
            stack.callback(server.kill)
            assert server.stdout
            assert server.stdout.readline() == b"full\n"
            return path

        yield started


def asked(path: Path) -> tuple[socket.socket, bytes]:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(path))
    client.sendall(b"x")
    return client, client.recv(10)


def test_with_a_reserve_a_process_that_has_no_descriptor_left_still_answers(full):
    path = full(4)
    held = [asked(path) for _ in range(4)]
    assert [failures for _, failures in held] == [b"0"] * 4
    for client, _ in held:
        client.close()
    for _ in range(20):  # each gives its place back
        client, _ = asked(path)
        client.close()


def test_without_one_it_waits_for_room_and_says_so_once(full):
    client, failures = asked(full(0))
    assert failures == b"1"
    client.close()


# -- the limit of descriptors -----------------------------------------------------------------------------------------

LIMIT = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 3000))
import trio
from pathlib import Path
from aegis_processes import descriptors
from aegis_processes.processes import Command, running
async def main():
    raised = descriptors.raise_limit(), descriptors.raise_limit(), descriptors.limit()
    async with trio.open_nursery() as nursery:
        command = Command(["/bin/sh", "-c", "read go; ulimit -Sn; ulimit -Hn"], {"PATH": "/usr/bin:/bin"}, Path("/"))
        async with running(command, nursery) as child:
            await child.write(b"go\\n")
            said = await child.lines()
            said += await child.lines() if len(said) < 2 else []
    print(json.dumps([raised, [line.decode() for line in said]]))
trio.run(main)
"""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can set a child's limit")
def test_the_limit_is_raised_here_and_children_have_the_usual_one():
    done = subprocess.run([sys.executable, "-c", LIMIT], capture_output=True, text=True, check=True)
    assert done.stdout == '[[3000, 3000, 3000], ["200", "3000"]]\n'


def test_a_child_that_has_gone_needs_no_limit():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    descriptors.usual_limit(child.pid)
