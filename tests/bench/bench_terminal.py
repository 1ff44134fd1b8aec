"""A command in a shared terminal and back, and how fast output comes through one, each beside a bare pty."""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import floors
import projects
import trio
from plane_caller import PlaneCaller
from rows import Aim, Row, report

RUNS, WARM = 150, 20
SIZE = 32 * 2**20  # bytes of text
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


def bare_run() -> float:
    """Return the milliseconds of `true` typed into a bare shell, whose end is seen by an echo."""
    took = []
    with shell() as master:
        until(master, b"$ ")
        for n in range(RUNS):
            began = time.perf_counter()
            os.write(master, b"true; echo $((%d + 100000))\n" % n)
            until(master, b"%d\r\n" % (n + 100_000))
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def bare_cat(file: Path) -> float:
    """Return the MB/s in which `cat` says the file to a reader of a bare pty."""
    master, slave = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(["sh", "-c", f"cat {file}; echo END"], stdin=slave, stdout=slave, stderr=slave)
    until(master, b"END\r\n")
    took = time.perf_counter() - began
    process.wait()
    os.close(master)
    os.close(slave)
    return SIZE / 2**20 / took


async def measured(serving: projects.Serving, file: Path) -> tuple[projects.Timing, float, float]:
    """Return what a run takes, and the MB/s and CPU seconds of the `cat`."""
    async with serving.client() as client:
        ann = await client.call("spawn", {"agent": "quick", "handle": "ann"})
        await client.call("term spawn", {"name": "bench", "shell": "bash"})
        caller = PlaneCaller(*serving.secret(ann["id"]))
        run = await serving.timed(lambda: caller.call("aegis_term_run", name="bench", cmd="true"), RUNS, warm=WARM)
        began, cpu = time.perf_counter(), serving.cpu
        said = await client.call("term run", {"name": "bench", "cmd": f"cat {file}; echo END"})
        assert said["stdout"].endswith("END\n")
        return run, SIZE / 2**20 / (time.perf_counter() - began), serving.cpu - cpu


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        file = folder / "text"
        line = b"a line as compilers and tests print them, of some eighty characters: src/main.c:42\n"
        file.write_bytes(line * (SIZE // len(line)))
        floor = floors.call_ms() + 2 * floors.commit_ms(folder) + bare_run()
        bare = bare_cat(file)
        with projects.Place(folder).serving() as serving:
            run, rate, cpu = trio.run(measured, serving, file)
    yield Row(
        "term run true over the plane (floor: call, 2 commits, bare shell)", run.p50, "ms", run.cpu, floor, [Aim(2.5)]
    )
    yield Row("output of a terminal", rate, "MB/s", None, bare, [Aim(60, least=True)], more=True)
    yield Row("  CPU for a MB", cpu / (SIZE / 2**20) * 1000)


if __name__ == "__main__":
    report(main())
