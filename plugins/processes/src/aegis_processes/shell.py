"""A command of the shell: its exit code and what it said; stopped with everything it started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import trio

from aegis_processes.child import start
from aegis_processes.processes import ProcessError

_MOST = 1_000_000  # characters of each stream that are kept: the end says most


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it said."""

    exit: int
    stdout: str
    stderr: str


async def shell(
    cmd: str, folder: Path, seconds: float | None, environment: Mapping[str, str], error: type[Exception] = ProcessError
) -> Ended:
    """Return how the command ended; raises the error when it took longer than it may, and nothing is left.

    `environment` is all that it gets.
    """
    if not folder.is_dir():
        raise error(f"`{cmd}`: its folder {folder} does not exist")
    try:
        process = await start(["/bin/sh", "-c", cmd], environment, folder, stdin=False)
    except (OSError, ValueError) as why:  # a command that is too long, a variable that cannot be
        raise error(f"`{cmd[:200]}` could not be started: {why}") from None
    said, cut = [bytearray(), bytearray()], set[int]()

    async def read(stream: trio.abc.ReceiveStream, into: bytearray) -> None:
        async for chunk in stream:
            into += chunk
            if len(into) > 8 * _MOST:
                del into[: -4 * _MOST]
                cut.add(id(into))

    try:
        with trio.move_on_after(float("inf") if seconds is None else seconds) as limit:
            async with trio.open_nursery() as nursery:
                for stream, into in zip((process.stdout, process.stderr), said, strict=True):
                    assert stream
                    nursery.start_soon(read, stream, into)
                await process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + 1  # a child may hold the pipes
    finally:
        with trio.CancelScope(shield=True):
            await process.end()
    if limit.cancelled_caught:
        raise error(f"`{cmd}` took longer than {seconds:g} s and was stopped")
    out, err = (_kept(bytes(part).decode(errors="replace"), cut=id(part) in cut) for part in said)
    return Ended(process.returncode or 0, out, err)


def _kept(text: str, *, cut: bool) -> str:
    """Return the end of what was said, and that it is no more than that."""
    if len(text) <= _MOST and not cut:
        return text
    return f"[only the last {_MOST:,} characters are kept]\n" + text[-_MOST:]
