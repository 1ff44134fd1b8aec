"""A command in a shared terminal and back, and how fast output comes through one, each beside a bare pty."""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

import aegis_terminal.plugin
from aegis import Caller
from aegis.app import open_kernel

RUNS, WARM = 200, 20
SIZE = 32 * 2**20  # bytes of text
ANNA = Caller("human", "anna")
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent", "TERM": "xterm", "LANG": "C.UTF-8"}


@contextmanager
def shell() -> Iterator[int]:
    """Have a bash without any of ours at the other end of a pty."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "-i"], stdin=slave, stdout=slave, stderr=slave, env=ENVIRONMENT | {"PS1": "$ "},
        start_new_session=True,
    )  # fmt: skip
    try:
        yield master
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def until(master: int, mark: bytes) -> None:
    """Read up to the mark."""
    seen = b""
    while mark not in seen:
        seen = seen[-len(mark) :] + os.read(master, 65_536)


def bare_runs() -> list[float]:
    """Return the milliseconds of each `true` typed into a bare shell, whose end is seen by an echo."""
    took = []
    with shell() as master:
        until(master, b"$ ")
        for n in range(RUNS + WARM):
            began = time.perf_counter()
            os.write(master, b"true; echo $((%d + 100000))\n" % n)
            until(master, b"%d\r\n" % (n + 100_000))
            took.append((time.perf_counter() - began) * 1000)
    return took[WARM:]


def bare_cat(file: Path) -> float:
    """Return the seconds in which `cat` says the file to a reader of a bare pty."""
    master, slave = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(["sh", "-c", f"cat {file}; echo END"], stdin=slave, stdout=slave, stderr=slave)
    until(master, b"END\r\n")
    took = time.perf_counter() - began
    process.wait()
    os.close(master)
    os.close(slave)
    return took


async def ours(folder: Path, file: Path) -> tuple[list[float], list[float], float]:
    """Return the milliseconds of each run of `true` and of storing two records, and the seconds of the `cat`."""
    took, stored = [], []
    async with open_kernel(folder, plugins={"terminal": aegis_terminal.plugin}, environment=ENVIRONMENT) as kernel:
        await kernel.verbs.call(ANNA, "term spawn", {"name": "bench", "shell": "bash"})
        for _ in range(RUNS + WARM):
            began = time.perf_counter()
            await kernel.verbs.call(ANNA, "term run", {"name": "bench", "cmd": "true"})
            took.append((time.perf_counter() - began) * 1000)
        book = kernel.ledger.book("bench")
        for _ in range(RUNS):
            began = time.perf_counter()
            await book.append("began", "x")
            await book.append("ran", "x")
            stored.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        run = await kernel.verbs.call(ANNA, "term run", {"name": "bench", "cmd": f"cat {file}; echo END"})
        seconds = time.perf_counter() - began
        assert run.stdout.endswith("END\n")
    return took[WARM:], stored, seconds


def main() -> None:
    """Print the figures, the floors and the ratios."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # on the disk that a project would be on
        folder = Path(name)
        file = folder / "text"
        line = b"a line as compilers and tests print them, of some eighty characters: src/main.c:42\n"
        file.write_bytes(line * (SIZE // len(line)))
        floor, least = statistics.median(bare_runs()), bare_cat(file)
        runs, stored, seconds = trio.run(ours, folder, file)
    took, size, disk = statistics.median(runs), SIZE / 2**20, statistics.median(stored)
    print(f"{'terminal':<36}{'figure':>10}{'floor':>10}{'ratio':>8}")
    print(f"{'run true and back, p50 ms':<36}{took:>10.2f}{floor:>10.2f}{took / floor:>8.1f}")
    print(f"{'the same, with its two records':<36}{took:>10.2f}{floor + disk:>10.2f}{took / (floor + disk):>8.1f}")
    print(f"{'output, MB/s':<36}{size / seconds:>10.1f}{size / least:>10.1f}{seconds / least:>8.2f}")
    print("floor: a bare shell at a bare pty and an echo after the command; `cat` read from a bare pty")
    print("a run is stored before it begins and when it has ended; output is searched for secrets and logged")


if __name__ == "__main__":
    main()
