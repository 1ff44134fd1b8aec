"""Commands of a person while 1,000 connections to the plane and 200 to the control socket are half open.

The kernel has `ulimit -n 1024`. The floor is the same command with no flood. Commands are processes of their own.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

from rows import Row, report

from aegis.project import Project
from aegis_cli.socket_path import socket_of

AEGIS = str(Path(sys.executable).with_name("aegis"))
PLANE, CONTROL, ROUNDS = 1_000, 200, 5
COMMANDS = (("sessions",), ("task", "list"), ("message", "list"), ("plane", "status"))


def limited() -> None:
    """Have as many descriptors as most systems give."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))


def took(root: Path, *words: str) -> float:
    """Return how many seconds the command takes."""
    began = time.perf_counter()
    subprocess.run([AEGIS, *words], cwd=root, capture_output=True, check=True)
    return time.perf_counter() - began


def plane_of(root: Path) -> str:
    """Return where the plane is, once it is there."""
    while True:
        said = subprocess.run([AEGIS, "--json", "plane", "status"], cwd=root, capture_output=True, check=True)
        if url := json.loads(said.stdout)["value"]["url"]:
            return str(url)
        time.sleep(0.1)


def half_open(stack: ExitStack, family: int, place: object, words: bytes) -> None:
    """Open a connection and say half of a request."""
    made = stack.enter_context(socket.socket(family))
    with suppress(ConnectionError, BlockingIOError):
        made.connect(place)  # type: ignore[arg-type]
        made.sendall(words)


def main() -> Iterator[Row]:
    """Yield the rows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        server = subprocess.Popen([AEGIS, "serve"], cwd=root, stdout=subprocess.PIPE, preexec_fn=limited)  # noqa: PLW1509 - no thread here
        stack.callback(server.wait)
        stack.callback(server.terminate)
        assert server.stdout
        server.stdout.readline()
        url = urlsplit(plane_of(root))
        floors = {words: statistics.median(took(root, *words) for _ in range(ROUNDS)) for words in COMMANDS}
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        for n in range(PLANE):
            half_open(stack, socket.AF_INET, (url.hostname, url.port), (b"", b"POST /mcp HTTP/1.1\r\nHost: lo")[n % 2])
        for n in range(CONTROL):
            half_open(stack, socket.AF_UNIX, os.fspath(socket_of(Project(root))), (b"", b'{"jsonrpc":')[n % 2])
        for words, floor in floors.items():
            worst = max(took(root, *words) for _ in range(ROUNDS))
            what = f"aegis {' '.join(words)} while 1,200 connections are half open, worst"
            yield Row(what, worst * 1000, floor=floor * 1000)


if __name__ == "__main__":
    report(main())
