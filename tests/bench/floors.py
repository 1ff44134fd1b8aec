"""The least that the same work costs without aegis, measured in the same run."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import trio
from plane_caller import PlaneCaller

TOOL = "aegis_list_sessions"


def median_ms(do: Callable[[], object], times: int = 200) -> float:
    """Return the median milliseconds of doing it."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        do()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def commit_ms(folder: Path, size: int = 500) -> float:
    """Return the milliseconds of one row and its commit in SQLite, with the ledger's settings."""
    with closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as db:
        db.executescript("pragma journal_mode=wal; pragma synchronous=full; create table if not exists r(d);")
        return median_ms(lambda: db.execute("insert into r values (?)", (b"x" * size,)))


def replace_ms(folder: Path, text: bytes) -> float:
    """Return the milliseconds of putting a new version of a file in its place, durably."""

    def replace() -> None:
        new = folder / "floor.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, text)
        os.fsync(fd)
        os.close(fd)
        new.replace(folder / "floor.md")
        place = os.open(folder, os.O_RDONLY)
        os.fsync(place)
        os.close(place)

    return median_ms(replace)


def turn_ms(argv: Sequence[str], at_once: int, times: int) -> float:
    """Return the milliseconds for a CLI alone: started, greeted, told one prompt, ended; so many at a time."""
    hello = {"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}}
    said = {"type": "user", "message": {"role": "user", "content": "x" * 300}, "uuid": "1"}
    lines = [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in (hello, said)]

    def one(_: int) -> None:
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, bufsize=0) as process:
            assert process.stdin and process.stdout
            process.stdin.write(lines[0])
            read_until(process.stdout.fileno(), b'"control_response"')
            process.stdin.write(lines[1])
            read_until(process.stdout.fileno(), b'"state":"completed"')
            process.stdin.close()

    def read_until(fd: int, mark: bytes) -> None:
        seen = b""
        while mark not in seen and (got := os.read(fd, 65536)):
            seen += got

    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, range(times)))
    return (time.perf_counter() - began) / times * 1000


@contextmanager
def fastmcp() -> Iterator[tuple[str, int]]:
    """Have one bare FastMCP tool served by uvicorn; its URL and its process."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.kill()
        process.communicate()


def call_ms(times: int = 150) -> float:
    """Return the milliseconds of one call of a bare FastMCP tool on uvicorn."""

    async def calls(url: str) -> float:
        caller, took = PlaneCaller(url, ""), []
        for _ in range(times + 20):
            began = time.perf_counter()
            await caller.call(TOOL)
            took.append((time.perf_counter() - began) * 1000)
            await trio.sleep(0.002)
        return statistics.median(took[20:])

    with fastmcp() as (url, _):
        return trio.run(calls, url)


def _serve() -> None:
    """Serve a tool that returns what a list of one session is."""
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    import socket  # noqa: PLC0415 - those who only measure need not load them

    import uvicorn  # noqa: PLC0415 - the same
    from fastmcp import FastMCP  # noqa: PLC0415 - the same

    from aegis_cli.running import freeze_memory  # noqa: PLC0415 - the same

    server = FastMCP("floor")
    row = {"handle": "lucid-knuth", "profile": "quick", "state": "idle", "model": "", "queued": 0, "turns": 0}

    @server.tool(name=TOOL)
    async def sessions() -> list[dict[str, object]]:
        """List the agents that are alive."""
        return [row]

    # Named, the protocol lets asyncio send small answers at once, as it does on sockets that it makes itself.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    bound.listen(128)
    freeze_memory()
    print(f"http://127.0.0.1:{bound.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(server.http_app(), log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[bound])


if __name__ == "__main__":
    _serve()
