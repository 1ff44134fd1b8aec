"""Calls that take their time: what the client hears meanwhile, what ends them, and that nothing waits for ever."""

import pytest
import trio
from mcp.shared.exceptions import MCPError

from aegis.events import Delivered


class Waiting:
    """A call of `aegis_slow` that is under way, and what became of it."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []
        self.result = None
        self.error: Exception | None = None
        self.told = trio.Event()
        self.over = trio.Event()
        self.scope = trio.CancelScope()

    async def progress(self, seconds, total, message):
        self.heard.append((seconds, message))
        self.told.set()

    async def run(self, client):
        try:
            with self.scope:
                self.result = await client.call_tool("aegis_slow", progress_callback=self.progress)
        except MCPError as error:
            self.error = error
        self.over.set()


@pytest.fixture
async def waiting(scene, mode):
    """A slow call of alice's, begun."""
    await scene.spawn("alice")
    async with scene.client("alice", mode) as client, trio.open_nursery() as nursery:
        call = Waiting()
        nursery.start_soon(call.run, client)
        await scene.toys.started.wait()
        yield call
        nursery.cancel_scope.cancel()


async def ended(scene):
    """Wait until the slow verb is over."""
    await scene.toys.over.wait()
    return scene.toys.ended


async def test_a_long_call_says_every_five_seconds_that_it_goes_on(scene, waiting, clock):
    clock.jump(5)
    await waiting.told.wait()
    assert [(round(s), m) for s, m in waiting.heard] == [(5, "half way")]
    waiting.told = trio.Event()
    clock.jump(5)
    await waiting.told.wait()
    assert [round(s) for s, _ in waiting.heard] == [5, 10]
    scene.toys.go.set()
    await waiting.over.wait()
    assert scene.text(waiting.result) == "slowly done"


async def test_a_call_that_takes_too_long_becomes_a_ticket_and_its_result_mail(scene, waiting, clock):
    with scene.kernel.bus.subscribe() as news:
        clock.jump(90)
        await waiting.over.wait()
        ticket = waiting.result.structured_content["ticket"]
        assert waiting.result.structured_content["state"] == "running"
        assert ticket in scene.text(waiting.result) and not waiting.result.is_error
        assert scene.toys.ended == []
        assert (await scene.status()).tickets == [f"alice slow {ticket}"]
        scene.toys.go.set()
        mail = await delivered(news)
    assert (mail["sender"], mail["task_id"], mail["status"]) == ("system", ticket, "ok")
    assert mail["body"] == "aegis_slow: slowly done"
    assert (await scene.status()).tickets == []


async def delivered(news) -> dict:
    async for batches in news:
        for event in (e for batch in batches for e in batch.events):
            if isinstance(event, Delivered):
                return event.envelope
    raise AssertionError


async def test_a_ticket_outlives_the_client_and_the_turn_but_not_the_agent(scene, mode, clock):
    agent = await scene.spawn("alice")
    async with scene.client("alice", mode) as client, trio.open_nursery() as nursery:
        call = Waiting()
        nursery.start_soon(call.run, client)
        await scene.toys.started.wait()
        clock.jump(90)
        await call.over.wait()
    await scene.kernel.interceptors.tell("interrupted", agent.id)
    assert (await scene.status()).tickets and scene.toys.ended == []
    await scene.kernel.roster.close(agent)
    assert await ended(scene) == ["cancelled"]


async def test_a_client_that_cancels_ends_the_call(scene, waiting):
    waiting.scope.cancel()
    assert await ended(scene) == ["cancelled"]


async def test_a_word_of_the_clients_ends_the_call_though_its_request_stays_open(scene, raw):
    """OpenCode and legacy Claude post `notifications/cancelled` and keep the connection."""
    await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.call, "aegis_slow")
        await scene.toys.started.wait()
        await alice.post("notifications/cancelled", {"requestId": 2}, number=None)
        assert await ended(scene) == ["cancelled"]
        nursery.cancel_scope.cancel()


async def test_a_cli_that_is_killed_ends_its_calls(scene, raw, mode):
    await scene.spawn("alice")
    alice = raw("alice")
    if mode == "legacy":
        await alice.hello()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.call if mode == "legacy" else modern_slow(alice), "aegis_slow")
        await scene.toys.started.wait()
        nursery.cancel_scope.cancel()  # the socket closes, without a word of the protocol's
    assert await ended(scene) == ["cancelled"]


def modern_slow(alice):
    async def call(tool):
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "claude", "version": "1"},
        }
        params = {"name": tool, "arguments": {}, "_meta": meta}
        more = {"mcp_protocol_version": "2026-07-28", "mcp_method": "tools/call", "mcp_name": tool}
        await alice.post("tools/call", params, number=2, **more)

    return call


async def test_an_interrupted_turn_ends_its_calls(scene, mode):
    """Gemini and Codex tell the server nothing of a cancelled turn."""
    agent = await scene.spawn("alice")
    post = scene.kernel.post
    async with scene.client("alice", mode) as client, trio.open_nursery() as nursery:
        letter = post.envelope("human:anna", agent.id, "hold")
        await post.deliver(letter)
        call = Waiting()
        nursery.start_soon(call.run, client)
        await scene.toys.started.wait()
        await agent.interrupt()
        await call.over.wait()
        assert call.result.is_error
        assert scene.text(call.result) == "call cancelled: the turn was interrupted"
        assert scene.toys.ended == ["cancelled"]
        assert (await post.wait_turn(letter.id)).outcome == "cancelled"
        assert scene.text(await client.call_tool("aegis_whoami")) == "agent:alice"  # the next turn's call works


async def test_interrupting_one_agent_leaves_the_others_calls(scene, mode):
    await scene.spawn("alice")
    bob = await scene.spawn("bob")
    async with scene.client("alice", mode) as client, trio.open_nursery() as nursery:
        call = Waiting()
        nursery.start_soon(call.run, client)
        await scene.toys.started.wait()
        await scene.kernel.interceptors.tell("interrupted", bob.id)
        await scene.kernel.roster.close(bob)
        scene.toys.go.set()
        await call.over.wait()
        assert scene.text(call.result) == "slowly done"


async def test_the_death_of_an_agent_ends_its_calls(scene, waiting):
    await scene.kernel.roster.close(scene.kernel.roster.find("alice"))
    assert await ended(scene) == ["cancelled"]
    await waiting.over.wait()


async def test_calls_are_answered_before_a_planned_stop(open_scene, mode):
    call, client_gone = Waiting(), trio.Event()

    async def agent(scene):
        async with scene.client("alice", mode) as client:
            await call.run(client)
        client_gone.set()

    async with trio.open_nursery() as nursery:
        async with open_scene() as scene:
            await scene.spawn("alice")
            nursery.start_soon(agent, scene)
            await scene.toys.started.wait()
            began = trio.current_time()
        assert trio.current_time() - began < 2
        await call.over.wait()
        assert call.error is None and call.result.is_error
        assert scene.text(call.result) == "call cancelled: the kernel is restarting; call again"
        nursery.cancel_scope.cancel()


async def test_a_ticket_that_a_planned_stop_ends_is_told_after_the_restart(open_scene, mode, clock):
    call = Waiting()
    async with open_scene() as scene:
        agent = await scene.spawn("alice")
        async with scene.client("alice", mode) as client, trio.open_nursery() as nursery:
            nursery.start_soon(call.run, client)
            await scene.toys.started.wait()
            clock.jump(90)
            await call.over.wait()
    ticket = call.result.structured_content["ticket"]
    async with open_scene() as scene:
        told = [r.data for r in scene.kernel.ledger.book("mail").replay()[1] if r.data.get("task_id") == ticket]
        assert [(m["recipient"], m["status"]) for m in told] == [(agent.id, "error")]
        assert told[0]["body"] == "aegis_slow: call cancelled: the kernel is restarting; call again"
        assert scene.plane.tickets.owed == set()  # and not told again


async def test_a_ticket_that_a_crash_ended_is_told_after_the_restart(open_scene):
    async with open_scene() as scene:
        agent = await scene.spawn("alice")
        bob = await scene.spawn("bob")
        book = scene.kernel.ledger.book("plane")
        await book.append("opened", "01LOST", agent=agent.id, verb="slow", trace="01T", hops=1)  # and no `closed`
        await book.append("opened", "01DONE", agent=bob.id, verb="slow", trace="", hops=0)
        await book.append("closed", "01DONE")
    async with open_scene() as scene:
        with scene.kernel.bus.subscribe() as news:
            told = [x.envelope for x in scene.kernel.post.letters(agent.id)]
            mail = told[0] if told else await delivered(news)
            envelope = mail if isinstance(mail, dict) else {f: getattr(mail, f) for f in mail.__struct_fields__}
        assert envelope["task_id"] == "01LOST" and envelope["status"] == "error" and envelope["trace"] == "01T"
        assert envelope["body"].startswith("slow: aegis stopped before this call was done")
    async with open_scene() as scene:
        records = [r for r in scene.kernel.ledger.book("mail").replay()[1] if r.kind == "accepted"]
        assert [r.data["task_id"] for r in records] == ["01LOST"]  # once
