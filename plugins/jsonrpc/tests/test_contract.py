"""JSON-RPC over lines: answers find their requests, notifications keep their order, garbage ends nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import trio

from aegis_jsonrpc import values
from aegis_jsonrpc.connection import CLOSED, Connection, Handler, RpcError
from aegis_jsonrpc.message import INTERNAL, INVALID, PARSE


class Refused(Exception):
    """What a handler may raise."""


class Side:
    """A peer that answers `echo`, waits on `wait`, and keeps what it was told."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.heard: list[tuple[str, Any]] = []
        self.stray: list[bytes] = []
        self.cancelled = trio.Event()
        self.waiting = trio.Event()
        self.writing = trio.Lock()
        self.connection = Connection(self.read, self.write, self.handle, self.stray.append)

    async def read(self) -> list[bytes]:
        with suppress(trio.ClosedResourceError):
            return (await self.stream.receive_some()).splitlines()  # these streams keep what was sent together
        return []

    async def write(self, data: bytes) -> None:
        try:
            async with self.writing:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise RpcError(CLOSED, "the connection is closed") from None

    async def handle(self, method: str, params: Any) -> Any:
        match method:
            case "echo":
                return params
            case "slow echo":
                await trio.sleep(params)
                return params
            case "wait":
                self.waiting.set()
                try:
                    await trio.sleep_forever()
                finally:
                    self.cancelled.set()
            case "refuse":
                raise Refused("no such thing; there are: apples")
            case "own code":
                raise RpcError(-32099, "mine", {"why": 1})
            case _:
                await trio.lowlevel.checkpoint()
                self.heard.append((method, params))


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Side, Side]]:
    left, right = trio.testing.memory_stream_pair()
    ours, theirs = Side(left), Side(right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.connection.run)
        nursery.start_soon(theirs.connection.run)
        yield ours, theirs
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw_peer(
    stray: Callable[[bytes], None] | None, handle: Handler | None = None
) -> AsyncIterator[tuple[Connection, trio.abc.Stream]]:
    left, right = trio.testing.memory_stream_pair()
    side = Side(left)
    connection = Connection(side.read, side.write, handle or side.handle, stray)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        yield connection, right
        nursery.cancel_scope.cancel()


async def test_each_request_gets_its_own_answer_in_whatever_order(autojump: object) -> None:
    async with pair() as (ours, _):
        got: list[Any] = []

        async def one(seconds: float) -> None:
            answer = await ours.connection.request("slow echo", seconds)
            assert answer == seconds
            got.append(answer)

        async with trio.open_nursery() as nursery:
            for seconds in (3, 1, 2):
                nursery.start_soon(one, seconds)
        assert got == [1, 2, 3]
        assert await ours.connection.request("echo", {"ü": [None, 1.5, "✉"]}) == {"ü": [None, 1.5, "✉"]}
        assert await ours.connection.request("echo") is None


async def test_notifications_are_handled_in_order_and_before_a_later_request() -> None:
    async with pair() as (ours, theirs):
        for n in range(20):
            await ours.connection.notify("note", n)
        await ours.connection.request("echo", "x")
        assert theirs.heard == [("note", n) for n in range(20)]


async def test_errors_keep_their_code_message_and_data() -> None:
    async with pair() as (ours, _):
        with pytest.raises(RpcError, match="there are: apples") as refused:
            await ours.connection.request("refuse")
        assert (refused.value.code, refused.value.data) == (INTERNAL, "Refused")
        with pytest.raises(RpcError, match="mine") as own:
            await ours.connection.request("own code")
        assert (own.value.code, own.value.data) == (-32099, {"why": 1})


async def test_a_cancelled_request_is_cancelled_at_the_other_side() -> None:
    async with pair() as (ours, theirs):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.connection.request, "wait")
            await theirs.waiting.wait()
            nursery.cancel_scope.cancel()
        with trio.fail_after(1):
            await theirs.cancelled.wait()
        assert await ours.connection.request("echo", 1) == 1


async def test_hanging_up_fails_what_is_open_and_what_comes_later() -> None:
    async with pair() as (ours, theirs):

        async def hang_up() -> None:
            await theirs.waiting.wait()
            await theirs.stream.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang_up)
            with pytest.raises(RpcError) as error:
                await ours.connection.request("wait")
        assert error.value.code == CLOSED
        assert theirs.cancelled.is_set()
        with pytest.raises(RpcError, match="closed") as later:
            await ours.connection.request("echo", 1)
        assert later.value.code == CLOSED


async def test_a_cancelled_request_to_one_that_hung_up_is_just_cancelled() -> None:
    left, right = trio.testing.memory_stream_pair()
    connection = Side(left).connection
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.request, "wait")
            await trio.testing.wait_all_tasks_blocked()
            await right.aclose()
            scope.cancel()
    assert scope.cancelled_caught


GARBAGE = [
    b"hello", b"", b"\xff\xfe", b"null", b"42", b"[]", b'"text"', b"{", b"{}", b"[" * 100_000,
    b'{"id": {}, "method": "echo"}', b'{"id": [1], "method": "echo"}', b'{"id": 1.5, "method": "echo"}',
    b'{"id": true, "method": "echo"}', b'{"id": {"a": 1}, "result": 1}', b'{"id": 99, "result": 1}',
    b'{"id": 7, "method": 5}', b'{"method": "$/cancelRequest", "params": [1]}',
    b'{"method": "$/cancelRequest", "params": {"id": {}}}', b'{"method": "$/cancelRequest", "params": 3}',
    b'{"method": "$/cancelRequest"}', b'{"method": "refuse"}', b'{"method": "own code"}',
]  # fmt: skip


@pytest.mark.parametrize("line", GARBAGE, ids=lambda line: repr(line[:40]))
async def test_garbage_ends_nothing(line: bytes) -> None:
    async with pair() as (ours, _):
        await ours.stream.send_all(line + b"\n")
        await trio.testing.wait_all_tasks_blocked()  # what is said of it is no answer to what comes after
        with trio.fail_after(1):
            assert await ours.connection.request("echo", "still here") == "still here"


UNREADABLE = [
    (b'{"id": 5, "method": "echo", "params": "caf\xe9"}', 5, PARSE, "byte 0xe9 at 42"),
    (b'{"id": "five", "method": "echo", "params": "\\ud800"}', "five", PARSE, "surrogate"),
    (b'{"id": 5, "method": "echo", "params": ', None, PARSE, "not JSON"),
    (b'[{"id": 5, "method": "echo"}]', None, INVALID, "batches"),
    (b'{"id": 5, "method": 5}', 5, INVALID, "method"),
    (b'{"id": [5], "method": "echo"}', None, INVALID, "id"),
    (b'{"id": 5}', 5, INVALID, "method"),
    (b"hello", None, PARSE, "not JSON"),
    (b"\xff\xfe", None, PARSE, "byte 0xff at 0"),
    (b"[" * 100_000, None, PARSE, "not JSON"),
]


@pytest.mark.parametrize(("line", "number", "code", "words"), UNREADABLE, ids=lambda value: repr(value)[:40])
async def test_a_request_that_cannot_be_read_is_answered(line: bytes, number: Any, code: int, words: str) -> None:
    async with raw_peer(stray=None) as (_, raw):
        await raw.send_all(line + b"\n")
        with trio.fail_after(5):
            answer = msgspec.json.decode(await raw.receive_some())
        assert answer["id"] == number and answer["error"]["code"] == code and words in answer["error"]["message"]


@pytest.mark.parametrize("noise", [b"hello", b'{"level": "info"}', b"{", b"", b"42", b'{"result": 1}'])
async def test_what_a_program_logs_is_not_answered_where_somebody_takes_it(noise: bytes) -> None:
    strays: list[bytes] = []
    async with raw_peer(stray=strays.append) as (_, raw):
        await raw.send_all(noise + b'\n{"id": 1, "method": "echo"}\n')
        with trio.fail_after(5):
            assert msgspec.json.decode(await raw.receive_some())["id"] == 1
    assert strays == [noise]


@pytest.mark.parametrize(
    "answer",
    [
        b'{"id": "%d", "result": "yes"}', b'{"id": %d.0, "result": "yes"}', b'{"id": " %d ", "result": 1}',
        b'{"id": %d, "result": "caf\xe9"}', b'{"id": %d, "result": "\\ud800"}', b'{"id": %d, "result": "y',
        b'{"id": %d}',
        b'{"id": 1%d0, "result": 1}', b'{"id": "none", "result": %d}', b'{"id": -%d, "error": {}}',
        b'{"id": null, "error": {"code": -32700, "message": "what? %d"}}',
    ],
)  # fmt: skip
async def test_an_answer_that_is_written_strangely_is_taken_or_fails_the_request(answer: bytes) -> None:
    strays: list[bytes] = []
    async with raw_peer(stray=strays.append) as (connection, raw), trio.open_nursery() as nursery:

        async def reply() -> None:
            number = msgspec.json.decode(await raw.receive_some())["id"]
            await raw.send_all(answer % number + b"\n")

        nursery.start_soon(reply)
        got: Any = None
        with trio.fail_after(5):
            try:
                got = await connection.request("echo")
            except RpcError as error:
                got = error
        taken = b"yes" in answer or b"caf" in answer or b"ud800" in answer
        assert (got in ("yes", "caf\ufffd", "?")) is taken, got
        assert bool(strays) is not taken, "a word on what could not be taken"


async def test_an_answer_to_what_nobody_waits_for_any_more_fails_nothing() -> None:
    async with raw_peer(stray=None) as (connection, raw):
        with trio.move_on_after(0):
            await connection.request("wait")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def reply() -> None:
                await trio.testing.wait_all_tasks_blocked()
                await raw.send_all(b'{"id": 1, "result": "late"}\n{"id": 2, "result": "right"}\n')

            with trio.fail_after(5):
                assert await connection.request("echo") == "right"


@pytest.mark.parametrize("value", ["caf\udce9", 2**70, {1, 2}, object()])
async def test_an_answer_that_cannot_be_said_is_answered_nevertheless(value: Any) -> None:
    async def handle(method: str, params: Any) -> Any:
        return value

    async with raw_peer(stray=None, handle=handle) as (_, raw):
        for number in (1, 2**70):
            await raw.send_all(b'{"id": %d, "method": "echo"}\n' % number)
            with trio.fail_after(5):
                assert json.loads(await raw.receive_some())["id"] == number


async def test_what_cannot_be_said_is_refused_where_it_is_asked() -> None:
    async with pair() as (ours, _):
        with pytest.raises(RpcError, match="not UTF-8: byte 0xe9 at 3"):
            await ours.connection.request("echo", "caf\udce9")
        with pytest.raises(RpcError, match="U\\+D800"):
            await ours.connection.notify("note", "\ud800")
        assert await ours.connection.request("echo", "still here") == "still here"


@pytest.mark.parametrize("error", [b'"text"', b"null", b"[]", b"7", b'{"code": "x"}'])
async def test_a_malformed_error_is_an_error(error: bytes) -> None:
    left, right = trio.testing.memory_stream_pair()
    side = Side(left)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(side.connection.run)

        async def answer() -> None:
            request = msgspec.json.decode((await Side(right).read())[0])
            await right.send_all(b'{"id": %d, "error": %s}\n' % (request["id"], error))

        nursery.start_soon(answer)
        with trio.fail_after(1), pytest.raises(RpcError):
            await side.connection.request("echo")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("read", "good", "empty", "bad"),
    [
        (values.text, "x", "", [None, 1, b"x", ["x"]]),
        (values.mapping, {"a": 1}, {}, [None, [], "x"]),
        (values.items, [1], [], [None, {}, "x", (1,)]),
        (values.count, 7, 0, [None, "7", 7.0, True, -1, 2**63]),
        (values.amount, 0.5, None, [None, "1", True, -0.5, float("nan"), float("inf"), 2**63]),
    ],
)
def test_a_value_of_another_type_reads_as_nothing(read, good, empty, bad):
    assert read(good) == good
    assert [read(value) for value in bad] == [empty] * len(bad)


def test_a_whole_number_is_an_amount():
    assert values.amount(3) == 3.0


async def test_a_peer_has_so_many_requests_served_at_once_and_more_are_refused():
    ours, theirs = trio.testing.memory_stream_pair()
    go = trio.Event()

    async def handle(method: str, params: object) -> str:
        await go.wait()
        return method

    async def read() -> list[bytes]:
        return (await ours.receive_some()).splitlines()

    async def write(data: bytes) -> None:
        async with writing:
            await ours.send_all(data)

    writing, connection = trio.Lock(), Connection(read, write, handle, at_once=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        for number in range(4):
            await theirs.send_all(b'{"jsonrpc":"2.0","id":%d,"method":"m"}\n' % number)
        refused = msgspec.json.decode(await theirs.receive_some())
        assert (refused["id"], refused["error"]["message"][:34]) == (3, "3 requests are served on this conn")
        go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (await theirs.receive_some()).count(b"\n") == 3
        await theirs.send_all(b'{"jsonrpc":"2.0","id":4,"method":"m"}\n')
        assert msgspec.json.decode(await theirs.receive_some())["result"] == "m"
        nursery.cancel_scope.cancel()
