"""Connections to the plane: strangers share a few, an agent keeps its own, nothing waits for ever."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing

LIMITS = "max_connections: 4, max_silent: 3"


@pytest.fixture
def limits() -> str:
    return LIMITS


@pytest.fixture
async def limited(open_scene, project, limits):
    (project / ".aegis.yaml").write_text(f"plugins: {{mcp: {{{limits}}}}}\n")
    async with open_scene() as scene, AsyncExitStack() as stack:
        await scene.spawn("alice")
        await scene.spawn("bob")
        scene.stack = stack
        yield scene


class Wire:
    """A connection, byte for byte."""

    def __init__(self, scene, handle: str = "alice") -> None:
        self.scene, self.handle, self.rest = scene, handle, b""

    async def open(self) -> Wire:
        place = urlsplit(self.scene.url(self.handle))
        self.stream = await self.scene.stack.enter_async_context(await trio.open_tcp_stream(place.hostname, place.port))
        return self

    async def say(self, text: str) -> None:
        await self.stream.send_all(text.replace("\n", "\r\n").encode())

    def head(self, length: int, secret: str = "") -> str:
        auth = f"Authorization: Bearer {secret or self.scene.secret(self.handle)}"
        kinds = "Content-Type: application/json\nAccept: application/json, text/event-stream"
        return f"POST /mcp HTTP/1.1\nHost: localhost\n{auth}\n{kinds}\nContent-Length: {length}\n\n"

    async def ping(self) -> int:
        """Ask something in the agent's name and return the status."""
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        await self.say(self.head(len(body)) + body)
        return await self.status()

    async def status(self) -> int:
        """Return the status of the answer, 0 when the connection has ended."""
        self.rest = b""
        while True:
            try:
                chunk = await self.stream.receive_some()
            except trio.BrokenResourceError:
                chunk = b""
            self.rest += chunk
            if not chunk or self._whole():
                return int(self.rest.split()[1]) if self.rest else 0

    def _whole(self) -> bool:
        head, end, body = self.rest.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return bool(end) and (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"))

    async def over(self) -> bool:
        """Wait until the connection has ended."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        return True


async def test_an_agent_keeps_its_connection_however_many_strangers_come(limited):
    alice = await Wire(limited).open()
    assert await alice.ping() == 200
    strangers = [await Wire(limited).open() for _ in range(60)]
    for stranger in strangers[-3:]:
        await stranger.say("POST /mcp HTTP/1.1\nHost: loc")  # half of a request
    assert await alice.ping() == 200
    assert [await stranger.over() for stranger in strangers[:48]] == [True] * 48
    assert await (await Wire(limited, "bob").open()).ping() == 200, "who comes now gets in as well"


async def test_a_stranger_with_a_wrong_secret_stays_a_stranger(limited):
    strangers = []
    for _ in range(20):
        strangers.append(stranger := await Wire(limited).open())
        await stranger.say(stranger.head(0, "wrong"))
        assert await stranger.status() == 401
    assert [await stranger.over() for stranger in strangers[:8]] == [True] * 8


async def test_an_agent_with_too_many_connections_gives_up_an_idle_one_of_its_own(limited):
    bob = await Wire(limited, "bob").open()
    assert await bob.ping() == 200
    first, *others = [Wire(limited) for _ in range(5)]
    for each in (first, *others):
        assert await (await each.open()).ping() == 200
    assert await first.over()
    assert [await each.ping() for each in (*others, bob)] == [200] * 5


async def test_one_more_than_all_its_busy_connections_is_refused_with_the_setting(limited):
    busy = [await Wire(limited).open() for _ in range(4)]
    for each in busy:
        await each.say(each.head(1000) + "{")
    await trio.testing.wait_all_tasks_blocked(0.05)
    more = await Wire(limited).open()
    assert await more.ping() == 429
    assert b"plugins.mcp.max_connections" in more.rest
    assert (await limited.status()).refused == {"too many connections": 1}
    assert await (await Wire(limited, "bob").open()).ping() == 200


@pytest.mark.parametrize("limits", ["header_within: 0.2"])
@pytest.mark.parametrize(
    "said", ["", "POST /m", "POST /mcp HTTP/1.1\nHost: localhost\nX: "], ids=["nothing", "line", "head"]
)
async def test_who_does_not_say_whose_it_is_in_time_is_closed(limited, said):
    silent = await Wire(limited).open()
    await silent.say(said)
    assert await silent.over()


@pytest.mark.parametrize("limits", ["body_within: 0.2"])
@pytest.mark.parametrize("said", ["", "{"], ids=["nothing", "some"])
async def test_a_body_must_arrive_in_time(limited, said):
    slow = await Wire(limited).open()
    await slow.say(slow.head(1000) + said)
    assert await slow.status() == 408
    assert b"a body must arrive within 0.2 s (plugins.mcp.body_within)" in slow.rest
    assert await slow.over()


@pytest.mark.parametrize("limits", ["max_body: 65536"])
async def test_a_body_may_be_as_large_as_the_settings_allow(limited):
    large = await Wire(limited).open()
    await large.say(large.head(10**9) + "x" * 200_000)
    assert await large.status() == 413
    assert b"a body has at most 65,536 bytes" in large.rest
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "y" * 60_000}})
    fits = await Wire(limited).open()
    await fits.say(fits.head(len(body)) + body)
    assert await fits.status() not in (0, 413)


@pytest.mark.parametrize("limits", ["body_within: 3600"])
async def test_bodies_that_never_end_hold_up_only_their_own_agent(limited):
    for _ in range(12):
        half = await Wire(limited).open()
        await half.say(half.head(1000) + "{")
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert await (await Wire(limited, "bob").open()).ping() == 200
    assert await (await Wire(limited).open()).ping() == 200, "a request that is there at once waits for no other"


@pytest.mark.parametrize("limits", ["max_body: 65536"])
async def test_all_that_an_agent_has_half_sent_is_limited(limited):
    for _ in range(5):
        half = await Wire(limited).open()
        await half.say(half.head(60_000) + "x" * 59_000)
        await trio.testing.wait_all_tasks_blocked(0.02)  # of those that come at once another may be refused
    assert await half.status() == 413
    assert await (await Wire(limited, "bob").open()).ping() == 200


async def test_a_client_that_never_reads_does_not_hold_up_the_end(open_scene):
    async with open_scene() as scene, AsyncExitStack() as scene.stack:
        await scene.spawn("alice")
        deaf = await Wire(scene).open()
        deaf.stream.setsockopt(1, 8, 2048)  # SO_RCVBUF
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        with trio.move_on_after(1):
            for _ in range(200):
                await deaf.say(deaf.head(len(body)) + body)
        with trio.fail_after(20):  # it is done within a second, where there is nothing else to do
            await scene.kernel.plugins.leave("mcp")


@pytest.mark.parametrize("limits", ["max_body: 65536"])
async def test_the_bodies_of_all_requests_that_are_not_over_are_limited(limited):
    alice = limited.Raw(limited, "alice")
    limited.stack.push_async_callback(alice.http.aclose)
    await alice.hello()
    params = {"name": "aegis_slow", "arguments": {}, "_meta": {"x": "y" * 60_000}}

    async def ask(number: int) -> None:
        assert (await alice.post("tools/call", params, number=number)).status_code == 200

    async with trio.open_nursery() as nursery:
        for number in range(4):
            limited.toys.started = trio.Event()
            nursery.start_soon(ask, number)
            await limited.toys.started.wait()
        refused = await alice.post("tools/call", params, number=4)
        assert refused.status_code == 413 and "plugins.mcp.max_body" in refused.text
        assert await (await Wire(limited, "bob").open()).ping() == 200
        limited.toys.go.set()
    await ask(5)


async def test_an_agent_has_so_many_sessions_and_the_first_to_go_are_those_it_does_not_use(limited):
    alice, bob = [limited.Raw(limited, handle) for handle in ("alice", "bob")]
    for each in (alice, bob):
        limited.stack.push_async_callback(each.http.aclose)
        await each.hello()
    first = alice.session
    sessions = limited.plane.server_run.sessions
    for _ in range(8):
        alice.session = ""
        await alice.hello()
    for number in range(8):
        alice.session = f"of-another-time-{number}"
        assert "agent:alice" in (await alice.call("aegis_whoami")).text
    agent = limited.kernel.roster.find("alice")
    assert len(sessions.of(agent.id)) == 4
    alice.session = first
    assert "agent:alice" in (await alice.call("aegis_whoami")).text, "it is revived when it is used again"
    assert len(sessions.of(agent.id)) == 4
    assert "agent:bob" in (await bob.call("aegis_whoami")).text
    assert sessions.of(limited.kernel.roster.find("bob").id) == [bob.session]
