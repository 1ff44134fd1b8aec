"""A call of `aegis_list_sessions` through the plane, beside one bare FastMCP tool on uvicorn.

Servers and load are processes of their own. `python tests/bench/bench_plane.py [legacy|modern]`
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import trio

SECONDS, ROUNDS = 3.0, 3
VERSION = {"legacy": "2025-11-25", "modern": "2026-07-28"}
TOOL = "aegis_list_sessions"


# -- the two servers -----------------------------------------------------------------------------------------------


def floor() -> None:
    """Serve one bare tool that returns what a list of one session is, as FastMCP itself would: by uvicorn."""
    import uvicorn  # noqa: PLC0415 - the load is a light process
    from fastmcp import FastMCP  # noqa: PLC0415 - the load is a light process

    from aegis_cli.running import freeze_memory  # noqa: PLC0415 - the load is a light process

    server = FastMCP("floor")
    row = {"handle": "lucid-knuth", "profile": "puppet", "state": "idle", "model": "", "queued": 0, "turns": 0}

    @server.tool(name=TOOL)
    async def sessions() -> list[dict[str, Any]]:
        """List the agents that are alive."""
        return [row]

    # With the protocol's name: only then does asyncio turn Nagle's algorithm off, which would add 40 ms to a call.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(server.http_app(), http="h11", log_level="critical", access_log=False)
    freeze_memory()
    print(json.dumps({"url": f"http://127.0.0.1:{bound.getsockname()[1]}/mcp", "secret": ""}), flush=True)
    uvicorn.Server(config).run(sockets=[bound])


async def plane() -> None:
    """Serve the plane of a kernel with one agent, as `aegis serve` does."""
    from contextlib import asynccontextmanager  # noqa: PLC0415 - the load is a light process

    import aegis_inbox.plugin  # noqa: PLC0415 - the load is a light process
    import aegis_mcp.plugin  # noqa: PLC0415 - the load is a light process
    from aegis import Probe, Profile, hookimpl  # noqa: PLC0415 - the load is a light process
    from aegis.app import open_kernel  # noqa: PLC0415 - the load is a light process
    from aegis_cli.running import freeze_memory  # noqa: PLC0415 - the same

    class Driver:
        name, settings, resumes = "puppet", Profile, True

        @asynccontextmanager
        async def open(self, seat):
            self.seat = seat
            yield self

        async def receive(self):
            await trio.sleep_forever()

        def probe(self):
            return Probe(True)

    class Puppets:
        driver = Driver()

        @hookimpl
        def aegis_drivers(self):
            return [self.driver]

    plugins = {"mcp": aegis_mcp.plugin, "inbox": aegis_inbox.plugin, "puppets": Puppets()}
    with tempfile.TemporaryDirectory() as folder:
        async with open_kernel(Path(folder), plugins=plugins) as kernel:
            await kernel.roster.spawn("puppet", "lucid-knuth")
            [server] = Puppets.driver.seat.servers
            freeze_memory()
            secret = server.headers["Authorization"].removeprefix("Bearer ")
            print(json.dumps({"url": server.url, "secret": secret}), flush=True)
            await trio.sleep_forever()


# -- the load ------------------------------------------------------------------------------------------------------


class Caller:
    """One keep-alive connection that calls again and again."""

    def __init__(self, url: str, secret: str, era: str) -> None:
        host, _, self.path = url.removeprefix("http://").partition("/")
        self.address = (host.split(":")[0], int(host.split(":")[1]))
        self.era, self.secret, self.session = era, secret, ""
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(self._free(self.socket)))

    @staticmethod
    def _free(made: socket.socket) -> socket.socket:
        made.setblocking(False)
        return made

    async def hello(self) -> None:
        """Shake hands, in the era that does."""
        if self.era == "legacy":
            info = {"name": "bench", "version": "1"}
            hello = {"protocolVersion": VERSION["legacy"], "capabilities": {}, "clientInfo": info}
            head, _ = await self._ask({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
            self.session = head.lower().split("mcp-session-id: ")[1].split("\r\n")[0]
            await self._ask({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def call(self, arguments: dict[str, Any] | None = None, expected: bytes = b"lucid-knuth") -> None:
        """Call the tool once and see that it worked."""
        params: dict[str, Any] = {"name": TOOL, "arguments": arguments or {}}
        if self.era == "modern":
            prefix = "io.modelcontextprotocol/"
            client = {"name": "bench", "version": "1"}
            params["_meta"] = {
                f"{prefix}protocolVersion": VERSION["modern"],
                f"{prefix}clientCapabilities": {},
                f"{prefix}clientInfo": client,
            }
        head, body = await self._ask({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        assert " 200 " in head and expected in body, (head, body)

    async def _ask(self, message: dict[str, Any]) -> tuple[str, bytes]:
        body = json.dumps(message).encode()
        lines = [
            f"POST /{self.path} HTTP/1.1",
            f"host: {self.address[0]}:{self.address[1]}",
            "content-type: application/json",
            "accept: application/json, text/event-stream",
            f"content-length: {len(body)}",
            f"mcp-protocol-version: {VERSION[self.era]}",
        ]
        lines += [f"mcp-session-id: {self.session}"] if self.session else []
        lines += [f"authorization: Bearer {self.secret}"] if self.secret else []
        if self.era == "modern":
            lines += [f"mcp-method: {message['method']}", f"mcp-name: {TOOL}"]
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self.stream.receive_some(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        text = head.decode().lower()
        if "transfer-encoding: chunked" in text:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += await self.stream.receive_some(65536)
        elif "content-length: " in text:
            size = int(text.split("content-length: ")[1].split("\r\n")[0])
            while len(rest) < size:
                rest += await self.stream.receive_some(65536)
        return head.decode(), rest


async def load(url: str, secret: str, era: str, clients: int, seconds: float) -> None:
    """Call from so many connections at once and print how long the calls took."""
    took: list[float] = []
    callers = [Caller(url, secret, era) for _ in range(clients)]
    for caller in callers:
        await caller.hello()
        for _ in range(10):
            await caller.call()

    async def go(caller: Caller) -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            await caller.call()
            took.append(time.perf_counter() - began)

    end = time.perf_counter() + seconds
    async with trio.open_nursery() as nursery:
        for caller in callers:
            nursery.start_soon(go, caller)
    calls = len(took) + 10 * clients
    print(json.dumps({"p50": statistics.median(took), "rate": len(took) / seconds, "calls": calls}))


# -- the figures ---------------------------------------------------------------------------------------------------


def measure(era: str, clients: int) -> dict[str, dict[str, float]]:
    """Return p50 and server CPU in ms and calls/s of plane and floor: medians of rounds that take turns."""
    rounds: dict[str, list[dict[str, float]]] = {"plane": [], "floor": []}
    servers = {name: _start(name) for name in rounds}
    try:
        for _ in range(ROUNDS):
            for name, (process, where) in servers.items():
                job = ["load", where["url"], where["secret"], era, str(clients), str(SECONDS / ROUNDS)]
                before = psutil.Process(process.pid).cpu_times()
                found = json.loads(subprocess.check_output([sys.executable, __file__, *job]))
                after = psutil.Process(process.pid).cpu_times()
                spent = after.user + after.system - before.user - before.system
                rounds[name].append(
                    {"p50": found["p50"] * 1000, "rate": found["rate"], "cpu": spent / found["calls"] * 1000}
                )
    finally:
        for process, _ in servers.values():
            process.kill()
            process.communicate()
    return {name: {key: statistics.median(r[key] for r in rs) for key in rs[0]} for name, rs in rounds.items()}


def _start(name: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    process = subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, json.loads(process.stdout.readline())


def main(eras: list[str]) -> None:
    """Print each figure beside its floor, and the ratio."""
    print(f"{'plane call':<36}{'figure':>10}{'floor':>10}{'ratio':>8}")
    for era in eras or ["modern", "legacy"]:
        for clients in (1, 8, 32):
            found = measure(era, clients)
            for key, unit in (("p50", "p50 ms"), ("cpu", "server CPU ms"), ("rate", "calls/s")):
                figure, least = found["plane"][key], found["floor"][key]
                what = f"{era}, {clients} clients, {unit}"
                print(f"{what:<36}{figure:>10.2f}{least:>10.2f}{figure / least:>8.2f}")


if __name__ == "__main__":
    os.environ["FASTMCP_LOG_ENABLED"] = "false"
    match sys.argv[1:]:
        case ["floor"]:
            floor()
        case ["plane"]:
            trio.run(plane)
        case ["load", url, secret, era, clients, seconds]:
            trio.run(load, url, secret, era, int(clients), float(seconds))
        case eras:
            main(eras)
