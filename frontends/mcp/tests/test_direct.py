"""The short way of a call and FastMCP's are one to the client: byte for byte, whatever a verb does and however it ends.

A client that reads `*/*` is left to FastMCP, so the same request with that header has the other way's answer.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import trio
import trio.testing
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

MODERN = "2026-07-28"
RESERVED = "io.modelcontextprotocol/"
SHOWN = [
    "text", "lines", "empty", "surrogate", "number", "numbers", "strange numbers", "nested", "keys", "bytes", "time",
    "set", "nothing", "long",
]  # fmt: skip
CALLS: list[tuple[str, Any]] = [
    ("aegis_whoami", {}),
    ("aegis_whoami", None),
    ("aegis_whoami", {"from_handle": "alice"}),
    ("aegis_whoami", {"from_handle": "bob"}),
    ("aegis_add", {"a": 2, "b": 3}),
    ("aegis_add", {"a": "x", "c": 1}),
    ("aegis_add", {}),
    ("aegis_add", {"a": 10**30}),
    ("aegis_wipe", {}),
    ("aegis_post_it", {}),
    ("aegis_deny", {}),
    ("aegis_deny_fully", {}),
    ("aegis_break", {}),
    ("aegis_exit", {}),
    ("aegis_trace", {}),
    ("aegis_ad", {}),
    ("no such tool", {}),
    ("", {}),
    ("aegis_people_only", {}),
    *(("aegis_show", {"which": which}) for which in SHOWN),
]
ODD = {"surrogate", "keys"}  # JSON has no such values, and FastMCP says so
VERSIONS = [*HANDSHAKE_PROTOCOL_VERSIONS, MODERN]


class Client:
    """A client of one protocol version, whose requests go either way."""

    def __init__(self, scene, raw, version: str) -> None:
        self.scene, self.raw, self.version = scene, raw("alice"), version
        self.passed = 0  # requests that went to FastMCP
        direct = scene.plane.server_run.direct
        inside = direct.inside

        async def counted(*asgi):
            self.passed += 1
            await inside(*asgi)

        direct.inside = counted

    async def hello(self) -> None:
        if self.version != MODERN:
            hello = {"protocolVersion": self.version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            assert (await self.raw.post("initialize", hello)).status_code == 200
            await self.raw.post("notifications/initialized", number=None)
        self.passed = 0

    async def ask(
        self, method: str, params: dict[str, Any] | None = None, *, number: Any = 7, long: bool = False, **more
    ):
        params = dict(params or {})
        headers = {"content_type": "application/json", "mcp_protocol_version": self.version}
        if self.version == MODERN:
            about = {"protocolVersion": MODERN, "clientCapabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            params["_meta"] = {RESERVED + key: value for key, value in about.items()} | params.get("_meta", {})
            headers |= {"mcp_method": method} | ({"mcp_name": params["name"]} if "name" in params else {})
        if long:
            headers["accept"] = "*/*"
        body = {"jsonrpc": "2.0", "id": number, "method": method} | ({"params": params} if params else {})
        return await self.raw.http.post(
            self.scene.url("alice"), content=json.dumps(body), headers=self.raw.headers(**headers, **more)
        )

    async def call(self, tool: str, arguments: Any = None, *, meta: Any = None, **more):
        params = {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {})
        return await self.ask("tools/call", params, **more)

    def sent(self, tool: str, accept: str) -> dict[str, Any]:
        """What a request to call the tool consists of, to be changed by the test."""
        params: dict[str, Any] = {"name": tool, "arguments": {}}
        headers = {"content_type": "application/json", "mcp_protocol_version": self.version, "accept": accept}
        if self.version == MODERN:
            params["_meta"] = {RESERVED + "protocolVersion": MODERN, RESERVED + "clientCapabilities": {}}
            headers |= {"mcp_method": "tools/call", "mcp_name": tool}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        return {"content": body, "headers": self.raw.headers(**headers)}


@pytest.fixture(params=VERSIONS)
async def client(scene, raw, request):
    await scene.spawn("alice")
    client = Client(scene, raw, request.param)
    await client.hello()
    return client


@pytest.fixture
async def nursery():
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


def said(answer) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What the client was sent, without the time."""
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() != b"date"]
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=repr)
async def test_both_ways_answer_the_same(client, tool, arguments):
    short = await client.call(tool, arguments)
    named = client.version != MODERN or re.fullmatch("[a-z_]+", tool)  # in a header, too, which has its rules
    odd = (arguments or {}).get("which") in (ODD if client.version != MODERN else {*ODD, "strange numbers"})
    assert client.passed == (0 if named and not odd else 1)
    long = await client.call(tool, arguments, long=True)
    assert said(short) == said(long)


async def test_each_value_that_is_hard_to_write_was_tried(scene):
    assert list(scene.toys.SHOWN) == SHOWN


@pytest.mark.parametrize(
    "number", [0, -5, 123456789012345, 10**15, "a", "7", "", 'q"', "é", "x" * 300, 1.5, True, None]
)
async def test_the_answer_has_the_requests_id(client, number):
    assert said(await client.call("aegis_whoami", {}, number=number)) == said(
        await client.call("aegis_whoami", {}, number=number, long=True)
    )


METAS = [
    {"progressToken": 3},
    {"progressToken": "three"},
    {"progressToken": 1.5},
    {"progressToken": None},
    {"claudecode/toolUseId": "toolu_1", "traceparent": "00-1-1-01"},
    {RESERVED + "logLevel": "debug"},
    {RESERVED + "logLevel": 7},
    {RESERVED + "clientCapabilities": 7},
    {RESERVED + "clientInfo": {"name": 3}},
    {RESERVED + "protocolVersion": "2025-11-25"},
    {RESERVED + "related-task": {"taskId": 5}},
]


@pytest.mark.parametrize("meta", METAS, ids=repr)
async def test_what_a_client_says_about_its_request_is_taken_or_refused_alike(client, meta):
    for _ in range(2):  # what was looked at once is remembered
        assert said(await client.call("aegis_whoami", {}, meta=meta)) == said(
            await client.call("aegis_whoami", {}, meta=meta, long=True)
        )


ODD_WORDS = {
    "no UTF-8": b'"\xff"',
    "a long number": b"9" * 5_000,
    "no number": b"NaN",
    "half a character": b'"\\ud800"',
    "150 levels": b"[" * 150 + b"]" * 150,
    "300 levels": b"[" * 300 + b"]" * 300,
    "2000 levels": b"[" * 2_000 + b"]" * 2_000,
    "a long text": b'"' + b"x" * 100_000 + b'"',
}


@pytest.mark.parametrize("where", ['"_meta": {', '"arguments": {'])
@pytest.mark.parametrize("odd", ODD_WORDS)
async def test_json_that_not_every_parser_takes_is_taken_or_refused_alike(client, odd, where):
    answers = []
    for accept in ("application/json, text/event-stream", "*/*"):
        sent = client.sent("aegis_whoami", accept)
        content = sent["content"].replace('"arguments": {}', '"arguments": {"from_handle": "alice"}')
        content = content if '"_meta"' in content else content.replace("}}}", '}, "_meta": {"y": 1}}}')
        sent["content"] = content.encode().replace(where.encode(), where.encode() + b'"x":' + ODD_WORDS[odd] + b",")
        answers.append(said(await client.raw.http.post(client.scene.url("alice"), **sent)))
    assert answers[0] == answers[1]


async def test_long_words_of_a_client_about_itself_are_not_kept(client):
    await client.call("aegis_whoami", {}, meta={RESERVED + "clientInfo": {"name": "x" * 100_000, "version": "1"}})
    assert client.passed == 1


@pytest.mark.parametrize(
    "more",
    [
        {"content_type": "text/plain"},
        {"content_type": "application/json; charset=utf-8"},
        {"mcp_method": "tools/list"},
        {"mcp_name": "aegis_add"},
        {"mcp_name": "=?base64?YWVnaXNfd2hvYW1p?="},
        {"mcp_protocol_version": "2030-01-01"},
        {"mcp_session_id": "unknown"},
        {"mcp_param_x": "1"},
    ],
    ids=repr,
)
async def test_headers_are_taken_or_refused_alike(client, more):
    short, long = [await asked(client, more, accept) for accept in ("application/json, text/event-stream", "*/*")]
    session = (b"mcp-session-id", short.headers.get("mcp-session-id", "").encode())
    assert said(short) == said(long) or session[1]
    assert (short.status_code, short.content) == (long.status_code, long.content)


@pytest.mark.parametrize("twice", ["mcp-protocol-version", "mcp-name", "accept", "content-type", "x-other"])
async def test_a_header_that_comes_twice_is_taken_or_refused_alike(client, twice):
    answers = []
    for accept in ("application/json, text/event-stream", "*/*"):
        sent = client.sent("aegis_whoami", accept)
        value = sent["headers"].pop(twice, "x")
        sent["headers"] = [*sent["headers"].items(), (twice, value), (twice, value)]
        answers.append(said(await client.raw.http.post(client.scene.url("alice"), **sent)))
    assert client.passed == 2
    assert answers[0] == answers[1]


async def asked(client, more, accept):
    sent = client.sent("aegis_whoami", accept)
    sent["headers"] |= {name.replace("_", "-"): value for name, value in more.items()}
    return await client.raw.http.post(client.scene.url("alice"), **sent)


async def test_a_list_of_tools_is_fastmcps_until_verbs_change(client, scene):
    first = await client.ask("tools/list")
    assert client.passed == 1
    again = await client.ask("tools/list", number="other")
    assert client.passed == 1
    long = await client.ask("tools/list", number="other", long=True)
    assert said(again) == said(long) and b"aegis_add" in first.content
    scene.kernel.verbs.add("further", scene.toys.Further())
    assert b"aegis_further" in (await client.ask("tools/list")).content
    scene.kernel.verbs.remove("further")
    last = await client.ask("tools/list")
    assert said(last) == said(await client.ask("tools/list", long=True)) == said(first)


async def test_a_list_is_of_who_asks(project, open_scene, raw_in):
    (project / ".aegis.yaml").write_text("agents: {narrow: {provider: puppet, verbs: [whoami]}}")
    async with open_scene() as scene:
        await scene.spawn("alice")
        await scene.kernel.roster.spawn("narrow", "nick")
        for handle, found in (("alice", True), ("nick", False), ("alice", True), ("nick", False)):
            client = raw_in(scene, handle)
            await client.hello()
            assert ("aegis_add" in (await client.post("tools/list")).text) is found


@pytest.fixture
async def raw_in():
    made = []

    def make(scene, handle):
        made.append(type(scene).Raw(scene, handle))
        return made[-1]

    yield make
    for client in made:
        await client.http.aclose()


class Slow:
    """A call of `aegis_slow` whose answer is still to come."""

    def __init__(self, client, **more) -> None:
        self.client, self.more, self.over = client, more, trio.Event()

    async def run(self) -> None:
        self.answer = await self.client.call("aegis_slow", {}, meta={"progressToken": 9}, **self.more)
        self.over.set()


async def both(client, nursery, then, **more):
    """Have something done to a slow call, the one way and the other, and return both answers."""
    answers = []
    for long in (False, True):
        client.scene.toys.renew()
        slow = Slow(client, long=long, **more)
        nursery.start_soon(slow.run)
        await client.scene.toys.started.wait()
        await then(slow)
        await slow.over.wait()
        answers.append(said(slow.answer))
    return answers


async def test_a_call_that_is_not_over_soon_is_answered_the_same(client, nursery):
    async def go(slow):
        with trio.move_on_after(0.6):
            await slow.over.wait()
        client.scene.toys.go.set()

    short, long = await both(client, nursery, go)
    assert short == long and b"slowly done" in short[2]
    assert client.passed == 2
    assert client.scene.toys.ended == ["done"] * 2, "the call was not begun anew"


async def test_progress_and_tickets_are_the_same(client, nursery, clock):
    async def go(slow):
        clock.jump(5)
        await trio.testing.wait_all_tasks_blocked(0.05)
        clock.jump(85)

    short, long = await both(client, nursery, go)
    tickets = [re.findall(rb'"ticket":"(\w+)"', answer[2]) for answer in (short, long)]
    assert tickets[0] and tickets[1]
    for index, answer in enumerate((short, long)):
        assert b'"progressToken":9' in answer[2]
        assert answer[2].count(tickets[index][0]) >= 3

    def same(answer: tuple[int, Any, bytes], ticket: bytes) -> bytes:
        pingless = re.sub(rb"\r\n: ping[^\r]*\r\n", b"", answer[2].replace(ticket, b"TICKET"))
        return re.sub(rb'"progress":(\d+)[.\d]*', rb'"progress":\1', pingless)

    assert same(short, tickets[0][0]) == same(long, tickets[1][0])


@pytest.mark.parametrize("later", [False, True])
async def test_a_cancelled_call_is_answered_the_same(client, nursery, later):
    if client.version == MODERN:
        pytest.skip("it cancels by going away")

    async def cancel(slow):
        if later:  # when it is FastMCP's to wait for
            with trio.move_on_after(0.6):
                await slow.over.wait()
        word = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7, "reason": "x"}}
        headers = client.raw.headers(mcp_protocol_version=client.version)
        assert (await client.raw.http.post(client.scene.url("alice"), json=word, headers=headers)).status_code == 202

    short, long = await both(client, nursery, cancel)
    assert short == long and b"Request cancelled" in short[2]
    assert client.scene.toys.ended == ["cancelled"] * 2
    assert client.passed == (4 if later else 3)  # two words of the client's, and the calls that were FastMCP's


async def test_an_interrupted_and_a_closed_agents_calls_are_answered_the_same(client, nursery):
    agent = client.scene.kernel.roster.find("alice")

    async def interrupt(slow):
        await client.scene.kernel.interceptors.tell("interrupted", agent.id)

    short, long = await both(client, nursery, interrupt)
    assert short == long and b"call cancelled: the turn was interrupted" in short[2]


async def test_a_client_that_goes_ends_its_short_call(client, nursery):
    with trio.move_on_after(5) as limit:
        nursery.start_soon(leave, client, limit)
        await client.call("aegis_slow", {})
    await client.scene.toys.over.wait()
    assert client.scene.toys.ended == ["cancelled"]


async def leave(client, limit):
    await client.scene.toys.started.wait()
    limit.cancel()


async def test_a_call_that_changes_the_tools_answers_after_the_pause(client):
    short = await client.call("aegis_more", {})
    assert client.passed == 0
    client.scene.kernel.verbs.remove("further")
    assert said(short) == said(await client.call("aegis_more", {}, long=True))


class Spawned(trio.abc.Instrument):
    """Counts the tasks that are started."""

    count = 0

    def task_spawned(self, task):
        self.count += 1


async def test_a_short_call_costs_one_task(scene, raw):
    await scene.spawn("alice")
    alice = raw("alice")
    await alice.hello()
    params = {"name": "aegis_whoami", "arguments": {}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    more = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body))}
    head = "\r\n".join(["POST /mcp HTTP/1.1", *(f"{k}: {v}" for k, v in (alice.headers() | more).items()), "", ""])
    async with await trio.open_tcp_stream("127.0.0.1", scene.plane.port.number) as stream:
        spawned = Spawned()
        for count in range(6):
            await stream.send_all(head.encode() + body)
            answer = await stream.receive_some()
            assert b"agent:alice" in answer and answer.endswith(b"0\r\n\r\n")
            if not count:
                trio.lowlevel.add_instrument(spawned)
        trio.lowlevel.remove_instrument(spawned)
    assert spawned.count == 5


async def test_another_agents_session_is_nobodys_short_way(scene, raw):
    await scene.spawn("alice")
    await scene.spawn("bob")
    alice, bob = raw("alice"), raw("bob")
    await alice.hello()
    bob.session = alice.session
    stolen = await bob.call("aegis_whoami")
    assert stolen.status_code == 404 and "agent:" not in stolen.text
