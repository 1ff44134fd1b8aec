"""Clients of both eras hear that tools changed, and survive what they cannot know of."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aegis_mcp import sdk


class Listener:
    """A client that hears of changes as CLIs of its era do."""

    def __init__(self) -> None:
        self.news = 0
        self.heard = trio.Event()
        self.at: list[float] = []

    def hear(self) -> None:
        self.news += 1
        self.at.append(trio.current_time())
        self.heard.set()


@asynccontextmanager
async def legacy(client):
    """Hold the stream for news open, as Gemini and OpenCode do all the time."""
    listener = Listener()

    async def listen(task_status):
        headers = client.headers(accept="text/event-stream")
        async with client.http.stream("GET", client.scene.url(client.handle), headers=headers) as stream:
            assert stream.status_code == 200
            client.session = stream.headers.get("mcp-session-id", client.session)
            task_status.started()
            async for line in stream.aiter_lines():
                if "notifications/tools/list_changed" in line:
                    listener.hear()

    async with trio.open_nursery() as nursery:
        await nursery.start(listen)
        yield listener
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def modern(client):
    """Listen by a long request, as Claude Code does."""
    listener = Listener()

    async def listen(task_status):
        async with client.listen(tools_list_changed=True) as subscription:
            task_status.started()
            async for _ in subscription:
                listener.hear()

    async with trio.open_nursery() as nursery:
        await nursery.start(listen)
        yield listener
        nursery.cancel_scope.cancel()


@pytest.fixture
async def alice(scene, raw, mode):
    """Alice's client, which hears of changes, and a way to call a tool with it."""
    await scene.spawn("alice")
    if mode == "legacy":
        client = raw("alice")
        await client.hello()
        async with legacy(client) as listener:
            yield listener, client.call
    else:
        async with scene.client("alice") as client, modern(client) as listener:
            yield listener, client.call_tool


async def test_tools_that_come_and_go_are_announced(scene, alice):
    listener, _ = alice
    scene.kernel.verbs.add("further", type(scene.toys).Further())
    await listener.heard.wait()
    listener.heard = trio.Event()
    scene.kernel.verbs.remove("further")
    await listener.heard.wait()
    assert listener.news == 2


async def test_a_call_that_changes_the_tools_answers_after_the_news(scene, alice):
    listener, call = alice
    await call("aegis_whoami")
    assert listener.news == 0
    await call("aegis_more")
    answered = trio.current_time()
    assert listener.news == 1
    assert answered - listener.at[0] >= 0.04  # the CLI has fetched the list before its model goes on
    result = await call("aegis_further")
    assert "more" in (result.text if hasattr(result, "text") else scene.text(result))


async def test_a_client_that_does_not_read_keeps_nobody_waiting(scene, raw):
    await scene.spawn("alice")
    silent = raw("alice")
    await silent.hello()  # a session without a stream
    async with scene.client("alice") as client, modern(client) as listener:
        await client.call_tool("aegis_more")
        assert listener.news == 1


async def test_the_sessions_of_a_closed_agent_end(scene, raw):
    agent = await scene.spawn("alice")
    client = raw("alice")
    await client.hello()
    ended = trio.Event()

    async def listen(task_status):
        async with client.http.stream("GET", scene.url("alice"), headers=client.headers()) as stream:
            task_status.started()
            await stream.aread()
        ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(listen)
        await scene.kernel.roster.close(agent)
        await ended.wait()


async def test_the_port_survives_a_restart_and_a_secret_until_its_cli_is_opened_again(open_scene):
    async with open_scene() as first:
        await first.spawn("alice")
        url, secret = first.url("alice"), first.secret("alice")
    async with open_scene() as second:
        agent = second.kernel.roster.find("alice")
        assert second.plane.secrets.owner(secret) == agent.id, "until it is opened again"
        receipt = await second.kernel.post.deliver(second.kernel.post.envelope("human:anna", agent.id, "wake up"))
        await second.kernel.post.wait_turn(receipt.id)
        assert second.url("alice") == url
        assert second.secret("alice") != secret, "its CLI is another process, and has another secret"
        assert second.plane.secrets.owner(secret) is None


async def test_another_port_is_taken_when_the_old_one_is_not_free(open_scene):
    async with open_scene() as first:
        await first.spawn("alice")
        port = int(first.url("alice").removesuffix("/mcp").rpartition(":")[2])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        async with open_scene() as second:
            await second.spawn("bob")
            assert f":{port}/" not in second.url("bob")
            async with second.client("bob") as client:
                assert second.text(await client.call_tool("aegis_whoami")) == "agent:bob"


@pytest.fixture
async def survivor(open_scene, raw_of):
    """A legacy client whose kernel was restarted between two of its calls."""
    async with open_scene() as first:
        await first.spawn("alice")
        client = raw_of(first)
        await client.hello()
        old = client.session
        headers, url = client.headers(), first.url("alice")
    async with open_scene() as second:
        second.driver.seats["alice"] = first.driver.seats["alice"]  # the process that lived on
        assert headers and url == second.url("alice")
        client.scene = second
        yield client, old


@pytest.fixture
async def raw_of():
    """Make a raw client of alice's in a given scene."""
    made = []

    def make(scene):
        made.append(type(scene).Raw(scene, "alice"))
        return made[-1]

    yield make
    for client in made:
        await client.http.aclose()


async def test_a_legacy_session_is_revived_by_a_call_after_a_restart(survivor):
    client, old = survivor
    answer = await client.call("aegis_whoami")
    assert answer.status_code == 200 and "agent:alice" in answer.text
    assert client.session != old
    client.session = old  # Gemini keeps its old id for ever
    again = await client.call("aegis_whoami")
    assert again.status_code == 200 and "agent:alice" in again.text
    assert again.headers["mcp-session-id"] == answer.headers["mcp-session-id"]


async def test_a_legacy_stream_is_revived_and_hears_of_changes(survivor):
    client, old = survivor
    async with legacy(client) as listener:
        client.session = old
        client.scene.kernel.verbs.add("further", type(client.scene.toys).Further())
        await listener.heard.wait()
        assert "more" in (await client.call("aegis_further")).text


async def test_many_requests_at_once_revive_one_session(survivor):
    client, old = survivor
    sessions = set()

    async def call(number):
        params = {"name": "aegis_whoami", "arguments": {}}
        body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        headers = client.headers(mcp_session_id=old)
        answer = await client.http.post(client.scene.url("alice"), json=body, headers=headers)
        sessions.add(answer.headers["mcp-session-id"])

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(call, number)
    assert len(sessions) == 1


async def test_a_modern_client_needs_no_session(open_scene):
    async with open_scene() as first:
        await first.spawn("alice")
        seat = first.driver.seats["alice"]
    async with open_scene() as second:
        second.driver.seats["alice"] = seat
        async with second.client("alice") as client:
            assert second.text(await client.call_tool("aegis_whoami")) == "agent:alice"


async def test_ending_an_unknown_session_revives_nothing(scene, raw):
    await scene.spawn("alice")
    client = raw("alice")
    headers = client.headers(mcp_session_id="gone")
    answer = await client.http.delete(scene.url("alice"), headers=headers)
    assert answer.status_code == 404 and "mcp-session-id" not in answer.headers


async def test_a_session_that_nobody_uses_is_put_away_and_revived_for_its_client(scene, raw, clock):
    """Not every client that goes says so, and what it leaves behind would stay as long as its agent's CLI."""
    await scene.spawn("alice")
    transports = sdk.transports(scene.plane.server_run.manager)
    await wait_all_tasks_blocked(0.01)
    quiet = count_tasks()
    for _ in range(10):
        gone = raw("alice")
        await gone.hello()
        await gone.http.aclose()
    listener, silent = raw("alice"), raw("alice")
    await silent.hello()
    await listener.hello()
    old = silent.session
    async with legacy(listener) as heard:
        assert len(transports) == 12
        clock.jump(601)
        await wait_all_tasks_blocked(0.01)
        assert set(transports) == {listener.session}, "whoever listens is there"
        assert "agent:alice" in (await silent.call("aegis_whoami")).text
        silent.session = old
        assert "agent:alice" in (await silent.call("aegis_whoami")).text
        await listener.call("aegis_more")
        assert heard.news == 1
        assert len(transports) == 2
    await silent.http.aclose()
    await listener.http.aclose()
    await wait_all_tasks_blocked(0.01)
    clock.jump(601)
    await wait_all_tasks_blocked(0.01)
    assert transports == {} and count_tasks() <= quiet


def count_tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def test_a_session_that_is_used_is_not_put_away(scene, raw, clock):
    await scene.spawn("alice")
    client = raw("alice")
    await client.hello()
    first = client.session
    for _ in range(5):
        clock.jump(400)
        await wait_all_tasks_blocked(0.01)
        assert "agent:alice" in (await client.call("aegis_whoami")).text
    assert client.session == first
