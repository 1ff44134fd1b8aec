"""Durable accepts: mail delivered by 32 senders at once, beside one fsync at a time on the same disk."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import trio

from aegis.app import open_kernel
from aegis.bus import Bus
from aegis.clock import Clock
from aegis.ledger import Ledger
from aegis.mail import Post

SECONDS, SENDERS = 2.0, 32
BODY = "x" * 300  # with its header a record of about 450 bytes


def bare(folder: Path) -> float:
    """Append 450 bytes and sync, in a loop that does nothing else; return how many a second."""
    fd = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        append(fd)
        done += 1
    os.close(fd)
    return done / (time.perf_counter() - started)


def append(fd: int) -> None:
    """Make a record durable."""
    os.write(fd, b"x" * 450)
    os.fsync(fd)


async def floor(folder: Path, senders: int) -> float:
    """Append and sync for each message by itself, in a thread as a program must; return how many a second."""
    fd, lock, done = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND), trio.Lock(), 0
    started = time.perf_counter()

    async def send() -> None:
        nonlocal done
        while time.perf_counter() - started < SECONDS:
            async with lock:
                await trio.to_thread.run_sync(append, fd)
            done += 1

    async with trio.open_nursery() as nursery:
        for _ in range(senders):
            nursery.start_soon(send)
    os.close(fd)
    return done / (time.perf_counter() - started)


async def accepts(folder: Path, senders: int) -> tuple[float, float]:
    """Deliver mail from so many senders at once; return how many a second, and the 99th percentile in ms."""
    ledger, took = Ledger(folder / f"ledger-{senders}.db", lambda: "2026-01-05T10:00:00Z"), list[float]()
    async with trio.open_nursery() as base:
        base.start_soon(ledger.run)
        post = Post(ledger, Bus(), Clock())
        for n in range(senders):
            post.mailbox(f"agent-{n}")
        started = time.perf_counter()

        async def send(to: str) -> None:
            while time.perf_counter() - started < SECONDS:
                before = time.perf_counter()
                await post.deliver(post.envelope("human:bench", to, BODY))
                took.append(time.perf_counter() - before)

        async with trio.open_nursery() as nursery:
            for n in range(senders):
                nursery.start_soon(send, f"agent-{n}")
        seconds = time.perf_counter() - started
        base.cancel_scope.cancel()
    return len(took) / seconds, sorted(took)[len(took) * 99 // 100] * 1000


async def opening(folder: Path, tasks: int) -> float:
    """Write so many turns that are over, and return how long the next kernel takes to open the project."""
    async with open_kernel(folder, plugins={}, environment={}) as kernel:
        post = kernel.post
        post.mailbox("human:bench")
        for _ in range(tasks // 500):
            letters = [post.accept(post.envelope("human:a", "human:bench", BODY)) for _ in range(500)]
            await kernel.ledger.append(*letters)
            await post.read(post.letters("human:bench"))
    started = time.perf_counter()
    async with open_kernel(folder, plugins={}, environment={}):
        return time.perf_counter() - started


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{'bare fsync in a loop':44}{bare(folder):>10,.0f} /s")
        one = trio.run(floor, folder, SENDERS)
        print(f"{'one fsync at a time, 32 senders':44}{one:>10,.0f} /s")
        for senders in (1, SENDERS):
            rate, slow = trio.run(accepts, folder, senders)
            aim = " (aim: at least 5)" if senders == SENDERS else ""
            what = f"durable accepts, {senders} sender{'s'[: senders > 1]}"
            print(f"{what:44}{rate:>10,.0f} /s  ratio {rate / one:.1f}{aim}, p99 {slow:.1f} ms")
        seconds = trio.run(opening, folder, 100_000)
        print(f"{'opening a project with 100,000 letters read':44}{seconds:>10.2f} s   (aim: under 1 s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
