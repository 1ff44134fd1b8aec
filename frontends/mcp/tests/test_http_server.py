"""HTTP/1.1 as clients speak it, byte for byte: what is read, what is answered, and when a connection stays."""

from __future__ import annotations

import os
import re
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

from aegis_mcp.auth import TOGETHER
from aegis_mcp.http_server import listener_of, serve_http
from aegis_mcp.port import listening
from aegis_processes.connections import Connections

END = b"\r\n\r\n"


def get(path: str) -> str:
    return f"GET /{path} HTTP/1.1\r\nHost: localhost"


class Site:
    """A server with an application of the test's, and what became of its requests."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.faults: list[Exception] = []
        self.stop, self.gone, self.begun, self.go = trio.Event(), trio.Event(), trio.Event(), trio.Event()
        self.connections, self.turn, self.turns = Connections(), 0, list[int]()

    async def application(self, scope, receive, send) -> None:
        path = scope["path"]
        if path != "/unread":
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message["more_body"]
            self.heard.append((scope["method"], path, body))
            self.turns.append(self.turn)
        if path == "/crash":
            raise ValueError("crash")
        if path == "/wait":
            self.begun.set()
            await receive()
            self.gone.set()
            return
        if path == "/hold":
            self.begun.set()
            await self.go.wait()
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
        await send(start | ({TOGETHER: True} if path == "/together" else {}))
        if path in ("/together", "/apart"):
            self.begun.set()
            await self.go.wait()
        for part in (b"one ", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def run(self, task_status) -> None:
        listener = listener_of(listening(0))
        task_status.started(listener.socket.getsockname()[1])
        await serve_http(self.application, listener, self.connections, self.stop, self.faults.append, 0.2)


class Wire:
    """A client's connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream, self.rest, self.found = stream, b"", b""

    async def say(self, *lines: str, body: bytes = b"") -> None:
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)

    async def until(self, end: bytes) -> bytes:
        while end not in self.rest:
            chunk = await self.stream.receive_some()
            assert chunk, self.rest
            self.rest += chunk
        self.found, _, self.rest = self.rest.partition(end)
        return self.found

    async def answer(self) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        head = await self.until(END)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if b"chunked" in head:
            parts = (await self.until(b"0" + END)).split(b"\r\n")
            return int(head.split()[1]), b"".join(parts[1::2])
        assert length, head
        while len(self.rest) < int(length[1]):
            self.rest += await self.stream.receive_some()
        body, self.rest = self.rest[: int(length[1])], self.rest[int(length[1]) :]
        return int(head.split()[1]), body

    async def over(self) -> bool:
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        return True


@pytest.fixture
async def site():
    site = Site()
    async with trio.open_nursery() as nursery:
        port = await nursery.start(site.run)

        @asynccontextmanager
        async def wire():
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                yield Wire(stream)

        site.wire = wire
        yield site
        site.stop.set()
    assert len(site.connections) == 0


async def test_a_connection_stays_for_one_request_after_the_other(site):
    async with site.wire() as wire:
        for n in range(3):
            await wire.say(f"POST /{n} HTTP/1.1", "Host: localhost", "Content-Length: 2", body=b"%d!" % n)
            assert await wire.answer() == (200, b"one two")
    assert site.heard == [("POST", "/0", b"0!"), ("POST", "/1", b"1!"), ("POST", "/2", b"2!")]


async def test_requests_that_are_sent_together_are_answered_in_their_order(site):
    async with site.wire() as wire:
        await wire.say(get("a"), "", get("b%20b?q=1"))
        assert [await wire.answer(), await wire.answer()] == [(200, b"one two")] * 2
    assert [path for _, path, _ in site.heard] == ["/a", "/b b"]


async def test_between_requests_that_are_sent_together_others_have_their_turn(site):
    async with site.wire() as wire, trio.open_nursery() as nursery:
        nursery.start_soon(turns, site)
        await wire.say(*[line for n in range(20) for line in (get(f"{n}"), "")])
        for _ in range(20):
            assert await wire.answer() == (200, b"one two")
        nursery.cancel_scope.cancel()
    assert site.turns[-1] - site.turns[0] >= 18


async def test_large_heads_that_come_at_once_are_understood_in_turn(site):
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        wires = [await stack.enter_async_context(site.wire()) for _ in range(8)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        head = get("large") + "".join(f"\r\nx: {n}" for n in range(1_000)) + "\r\n\r\n"
        for wire in wires:  # with nothing between them
            assert os.write(wire.stream.socket.fileno(), head.encode()) == len(head)
        nursery.start_soon(turns, site)
        for wire in wires:
            assert await wire.answer() == (200, b"one two")
        nursery.cancel_scope.cancel()
    assert len(set(site.turns)) == 8


async def turns(site):
    while True:
        await trio.lowlevel.checkpoint()
        site.turn += 1


async def test_a_body_may_come_in_chunks_and_when_it_is_asked_for(site):
    async with site.wire() as wire:
        await wire.say("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await wire.stream.send_all(b"1\r\nc\r\n0\r\n\r\n")
        assert await wire.answer() == (200, b"one two")
        await wire.say("POST / HTTP/1.1", "Host: x", "Content-Length: 3", "Expect: 100-continue")
        assert (await wire.until(END)).startswith(b"HTTP/1.1 100")
        await wire.stream.send_all(b"def")
        assert await wire.answer() == (200, b"one two")
    assert [body for _, _, body in site.heard] == [b"abc", b"def"]


@pytest.mark.parametrize("together", [True, False])
async def test_the_head_of_an_answer_waits_for_its_body_if_that_follows_at_once(site, together):
    async with site.wire() as wire:
        await wire.say(get("together" if together else "apart"))
        await site.begun.wait()
        with trio.move_on_after(0.05):
            await wire.until(END)
        assert (b"text/plain" in wire.rest + wire.found) is not together
        site.go.set()
        if together:
            await wire.until(END)
        await wire.until(b"two\r\n0" + END)


async def test_a_body_that_nobody_asked_for_costs_no_connection(site):
    async with site.wire() as wire:
        await wire.say("POST /unread HTTP/1.1", "Host: x", "Content-Length: 4")
        assert await wire.answer() == (200, b"one two")
        await wire.stream.send_all(b"late")
        await wire.say(get("next"))
        assert await wire.answer() == (200, b"one two")
    assert [path for _, path, _ in site.heard] == ["/next"]


async def test_a_large_body_that_nobody_asked_for_ends_the_connection(site):
    async with site.wire() as wire:
        await wire.say("POST /unread HTTP/1.1", "Host: x", "Content-Length: 1000000", body=b"x" * 500_000)
        assert await wire.answer() == (200, b"one two")
        assert await wire.over()


async def test_a_head_request_is_answered_without_a_body_and_http_1_0_with_an_end(site):
    async with site.wire() as wire:
        await wire.say("HEAD / HTTP/1.1", "Host: x")
        assert (await wire.until(END)).startswith(b"HTTP/1.1 200")
        await wire.say("GET / HTTP/1.0")
        assert b"chunked" not in await wire.until(END)
        assert await wire.over()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("nonsense", b"400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nX: " + "y" * 200_000, b"431"),
        ("GET / HTTP/1.1", b"400"),  # it names no host
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2", b"400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno size", b"400"),
    ],
    ids=["nonsense", "long", "hostless", "two lengths", "no chunk"],
)
async def test_what_is_not_http_is_told_so_and_ends_the_connection(site, said, status):
    async with site.wire() as wire:
        await wire.say(said)
        assert (await wire.until(END)).split()[1] == status
        assert await wire.over()
    assert site.faults == [] and site.heard == []


async def test_an_application_that_fails_is_a_fault_and_an_answer(site):
    async with site.wire() as wire:
        await wire.say(get("crash"))
        assert (await wire.until(END)).startswith(b"HTTP/1.1 500")
        assert await wire.over()
    assert [str(fault) for fault in site.faults] == ["crash"]
    async with site.wire() as wire:
        await wire.say(get("next"))
        assert await wire.answer() == (200, b"one two")


async def test_the_application_hears_of_a_client_that_goes(site):
    async with site.wire() as wire:
        await wire.say(get("wait"))
        await site.begun.wait()
    await site.gone.wait()


async def test_a_client_that_has_sent_its_next_request_has_not_gone(site):
    async with site.wire() as wire:
        await wire.say(get("wait"), "", get("next"))
        await site.begun.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not site.gone.is_set()


async def test_a_client_that_goes_after_it_has_sent_its_next_request_has_gone(site):
    async with site.wire() as wire:
        await wire.say(get("wait"), "", get("next"))
        await site.begun.wait()
        await wire.stream.send_all(b"GET /third")
    await site.gone.wait()


async def test_a_client_that_never_comes_to_the_end_of_its_body_leaves_nothing(site):
    async with site.wire() as wire:
        await wire.say("POST / HTTP/1.1", "Host: x", "Content-Length: 9", body=b"abc")
        await trio.testing.wait_all_tasks_blocked(0.01)
    async with site.wire() as wire:
        await wire.say(get("next"))
        await wire.answer()
    assert site.faults == [] and [path for _, path, _ in site.heard] == ["/next"]


async def test_at_a_stop_idle_connections_end_at_once_and_busy_ones_are_answered(site):
    async with site.wire() as idle, site.wire() as busy:
        await idle.say(get("first"))
        await idle.answer()
        await busy.say(get("hold"))
        await site.begun.wait()
        site.stop.set()
        assert await idle.over()
        site.go.set()
        assert await busy.answer() == (200, b"one two")
        assert await busy.over()


async def test_who_is_never_answered_does_not_hold_up_the_end(site):
    async with site.wire() as wire:
        await wire.say(get("hold"))
        await site.begun.wait()
        site.stop.set()
        assert await wire.over()
