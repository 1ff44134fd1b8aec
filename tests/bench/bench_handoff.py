"""A durable handoff: from the call at the plane to the idle recipient's stdin, beside a bare call and one fsync.

The kernel and the caller are processes of their own; both read the same monotonic clock.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench_plane
import trio

CALLS, WARM = 150, 20
PAUSE = 0.02  # seconds between calls, in which the recipient's turn ends


async def serve() -> None:
    """Serve a kernel with two agents, each before a real `cat`, and print when each prompt was written."""
    from contextlib import asynccontextmanager  # noqa: PLC0415 - the load is a light process

    import aegis_inbox.plugin  # noqa: PLC0415 - the load is a light process
    import aegis_mcp.plugin  # noqa: PLC0415 - the load is a light process
    from aegis import Command, Probe, Profile, hookimpl  # noqa: PLC0415 - the load is a light process
    from aegis.app import open_kernel  # noqa: PLC0415 - the load is a light process
    from aegis.events import TurnEnded  # noqa: PLC0415 - the load is a light process
    from aegis_cli.running import freeze_memory  # noqa: PLC0415 - the same

    class Session:
        def __init__(self, process: Any) -> None:
            self._process = process

        async def send(self, prompt: str) -> None:
            await self._process.write(prompt.replace("\n", " ").encode() + b"\n")
            print(time.monotonic_ns(), flush=True)

        async def receive(self) -> Any:
            return [TurnEnded("completed") for _ in await self._process.lines()]

        async def interrupt(self) -> None:
            pass

    class Cats:
        name, settings, resumes = "cat", Profile, False

        def __init__(self) -> None:
            self.seats: dict[str, Any] = {}

        @asynccontextmanager
        async def open(self, seat: Any) -> Any:
            self.seats[seat.handle] = seat
            async with seat.start(Command(["cat"], seat.env, seat.cwd)) as process:
                yield Session(process)

        def probe(self) -> Probe:
            return Probe(True)

        @hookimpl
        def aegis_drivers(self) -> Any:
            return [self]

    cats = Cats()
    plugins = {"mcp": aegis_mcp.plugin, "inbox": aegis_inbox.plugin, "cats": cats}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # on the disk that a project would be on
        async with open_kernel(Path(folder), plugins=plugins) as kernel:
            for handle in ("calm-codd", "wry-hopper"):
                await kernel.roster.spawn("cat", handle)
            [server] = cats.seats["calm-codd"].servers
            freeze_memory()
            secret = server.headers["Authorization"].removeprefix("Bearer ")
            print(json.dumps({"url": server.url, "secret": secret}), flush=True)
            await trio.sleep_forever()


async def load(url: str, secret: str, tool: str, arguments: str) -> None:
    """Call the tool again and again and print when each call began and how long it took."""
    bench_plane.TOOL = tool
    caller = bench_plane.Caller(url, secret, "modern")
    began, took = [], []
    for _ in range(CALLS + WARM):
        began.append(time.monotonic_ns())
        await caller.call(json.loads(arguments), b'"result"')
        took.append(time.monotonic_ns() - began[-1])
        await trio.sleep(PAUSE)
    print(json.dumps({"began": began, "took": took}))


def fsync_floor() -> float:
    """Return the median seconds of a 500-byte append and its fdatasync."""
    took = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, (Path(folder) / "f").open("ab", buffering=0) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(b"x" * 500)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def run(server: list[str], tool: str, arguments: dict[str, Any]) -> tuple[dict[str, list[int]], list[int]]:
    """Return what the load saw and when the server says it wrote."""
    process = subprocess.Popen([sys.executable, *server], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        where = json.loads(process.stdout.readline())
        job = [sys.executable, __file__, "load", where["url"], where["secret"], tool, json.dumps(arguments)]
        seen = json.loads(subprocess.check_output(job))
    finally:
        process.kill()
        said = process.communicate()[0]
    return seen, [int(line) for line in said.split()]


def main() -> None:
    """Print the figure, its floor and the ratio."""
    letter = {"target_handle": "wry-hopper", "context": "please review " + "x" * 400}
    seen, wrote = run([__file__, "serve"], "aegis_handoff", letter)
    delivered = statistics.median((w - b) / 1e6 for b, w in list(zip(seen["began"], wrote, strict=False))[WARM:])
    answered = statistics.median(seen["took"][WARM:]) / 1e6
    bare, _ = run([bench_plane.__file__, "floor"], "aegis_list_sessions", {})
    call, sync = statistics.median(bare["took"][WARM:]) / 1e6, fsync_floor() * 1000
    print(f"{'handoff, durable, idle recipient':<36}{'figure':>10}{'floor':>10}{'ratio':>8}")
    floor = call + sync
    print(f"{'call to stdin, p50 ms':<36}{delivered:>10.2f}{floor:>10.2f}{delivered / floor:>8.2f}")
    print(f"{'call to receipt, p50 ms':<36}{answered:>10.2f}{floor:>10.2f}{answered / floor:>8.2f}")
    print(f"floor: a bare FastMCP call {call:.2f} ms and one fdatasync {sync:.2f} ms")


if __name__ == "__main__":
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    match sys.argv[1:]:
        case ["serve"]:
            trio.run(serve)
        case ["load", *arguments]:
            trio.run(load, *arguments)
        case _:
            main()
