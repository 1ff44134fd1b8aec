"""Projects of their own with every plugin of the default set, and real kernels that serve them."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import seeding
import trio

from aegis.project import Project
from aegis_claude.testing.quick import compiled
from aegis_cli.socket_client import SocketClient, connected
from aegis_cli.socket_path import socket_of
from aegis_trust.trust import FOLDERS

AEGIS = str(Path(sys.executable).with_name("aegis"))
SETTLED = 0.3  # seconds after which what was put off has been done
_READY = "aegis runs in"


class Timing(NamedTuple):
    """What one operation took: wall time and the kernel's CPU time, in ms."""

    p50: float
    cpu: float
    worst: float


class Secret(NamedTuple):
    """How an agent reaches the plane."""

    url: str
    secret: str


class Place:
    """A project with the fake CLI in C, on the disk that a project would be on."""

    def __init__(self, folder: Path, config: str = "", **profiles: Sequence[str]) -> None:
        """Make it; `quick` is a profile, and each of `profiles` one more, with flags for the fake CLI."""
        self.root, self.home = folder / "project", folder / "home"
        self.root.mkdir(parents=True)
        self.home.mkdir()
        self.cli = compiled(folder)
        lines = ["agents:"]
        for name, flags in {"quick": (), **profiles}.items():
            command = json.dumps([self.cli, *map(str, flags)])
            lines.append(f"  {name}: {{provider: claude-code, permission: full, command: {command}}}")
        (self.root / ".aegis.yaml").write_text("\n".join([*lines, seeding.LIMITS, config, ""]))
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm",
            "XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / f"aegis-bench-cache-{os.getuid()}"),
            "IS_SANDBOX": "1", FOLDERS: str(folder),
        }  # fmt: skip

    def run(self, words: Sequence[str]) -> float:
        """Return the seconds that the command took."""
        began = time.perf_counter()
        subprocess.run(words, cwd=self.root, env=self.environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    @contextmanager
    def serving(self) -> Iterator[Serving]:
        """Have a kernel serve the project; it ends as SIGTERM asks it to."""
        process = subprocess.Popen(
            [AEGIS, "serve"], cwd=self.root, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout
            assert process.stdout.readline().startswith(_READY)
            yield Serving(self, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


@dataclass
class Serving:
    """A kernel in a process of its own, seen from outside."""

    place: Place
    process: subprocess.Popen[str]

    @property
    def cpu(self) -> float:
        """The seconds of CPU time it has used, its children not counted."""
        return cpu_of(self.process.pid)

    @property
    def memory(self) -> float:
        """The bytes it has in memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[SocketClient]:
        """Enter a client of its control socket: a person."""
        async with connected(str(socket_of(Project(self.place.root)))) as client:
            yield client

    def secret(self, agent_id: str) -> Secret:
        """Return how this agent's CLI was told to reach the plane."""
        told = json.loads((Project(self.place.root).state / "seats" / agent_id / "mcp.json").read_text())
        server = told["mcpServers"]["aegis"]
        return Secret(server["url"], server["headers"]["Authorization"].removeprefix("Bearer "))

    async def timed(
        self,
        do: Callable[[], Awaitable[Any]],
        times: int,
        *,
        warm: int = 10,
        pause: float = 0,
        after: Callable[[], Awaitable[Any]] | None = None,
    ) -> Timing:
        """Return what the operation takes; what it leaves to be done later counts as its CPU time."""
        took = []
        for number in range(warm + times):
            if number == warm:
                await trio.sleep(SETTLED)
                cpu = self.cpu
            began = time.perf_counter()
            await do()
            took.append((time.perf_counter() - began) * 1000)
            if after:
                await after()
            if pause:
                await trio.sleep(pause)
        await trio.sleep(SETTLED)
        spent = (self.cpu - cpu) / times * 1000
        return Timing(statistics.median(took[warm:]), spent, max(took[warm:]))


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU time of a process, its children not counted, as exactly as the system says it."""
    if sys.platform == "linux":
        return time.clock_gettime(((~pid) << 3) | 2)  # the clock of another process, as Linux numbers it
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@contextmanager
def folder() -> Iterator[Path]:
    """Have a folder on the disk of the current one, for as long as this is entered."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def strangers(count: int) -> Iterator[None]:
    """Have so many processes of nobody we know run on this machine."""
    script = f"for i in $(seq {count}); do sleep 3600 & done; echo ready; wait"
    shell = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert shell.stdout
        assert not count or shell.stdout.readline() == b"ready\n"
        yield
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()
