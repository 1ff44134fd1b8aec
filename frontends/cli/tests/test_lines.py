"""Whole lines over a stream, also when the other side is slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from aegis_cli.lines import line_reader, line_writer
from aegis_jsonrpc.connection import RpcError


async def test_lines_are_whole_however_they_arrive() -> None:
    left, right = trio.testing.memory_stream_pair()
    read = line_reader(right)
    for piece in (b"a", b"b\nc", b"\n\nlast"):
        await left.send_all(piece)
        await trio.testing.wait_all_tasks_blocked()
    await left.aclose()
    lines: list[bytes] = []
    while got := await read():
        lines += got
    assert lines == [b"ab", b"c", b""]


async def test_a_peer_that_reads_nothing_is_taken_for_gone(
    autojump: object, plugged: Callable[[], trio.abc.Stream]
) -> None:
    write = line_writer(plugged(), limit=5)
    with pytest.raises(RpcError, match="read nothing for 5 s"):
        await write(b"x\n")
    with pytest.raises(RpcError):
        await write(b"x\n")


@pytest.fixture
def plugged() -> Callable[[], trio.abc.Stream]:
    """A stream into which nothing goes."""
    return lambda: trio.testing.lockstep_stream_pair()[0]
