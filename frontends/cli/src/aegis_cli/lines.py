"""Whole lines over a stream, which is how the control socket carries JSON-RPC."""

from __future__ import annotations

from contextlib import suppress

import trio

from aegis_jsonrpc.connection import CLOSED, Reader, RpcError, Writer
from aegis_processes.cancellation import send_whole


class LineTooLong(Exception):
    """The other side sent more without a line end than it may."""


def line_reader(stream: trio.abc.ReceiveStream, longest: float = float("inf")) -> Reader:
    """Return a reader of whole lines from a stream; it gives an empty list at the end, and raises `LineTooLong`."""
    rest = bytearray()

    async def read() -> list[bytes]:
        while True:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if chunk := await stream.receive_some(65_536):
                    start = len(rest)
                    rest.extend(chunk)
                    if (end := rest.rfind(b"\n", start)) >= 0:
                        lines = bytes(rest[:end]).split(b"\n")
                        del rest[: end + 1]
                        return lines
                    if len(rest) > longest:
                        rest.clear()
                        raise LineTooLong
                    continue
            return []

    return read


def line_writer(stream: trio.abc.SendStream, limit: float = 30) -> Writer:
    """Return a writer that sends whole lines; a peer that reads nothing for `limit` seconds is taken for gone."""
    lock = trio.Lock()

    async def write(data: bytes) -> None:
        try:
            async with lock:
                if await send_whole(stream, data, limit):
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise RpcError(CLOSED, "the connection is closed") from None
        raise RpcError(CLOSED, f"the other side read nothing for {limit:g} s")

    return write
