"""Durable accepts: mail delivered by many senders at once, beside one raw commit after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import floors
import projects
import trio
from rows import Aim, Row, report

from aegis.bus import Bus
from aegis.clock import Clock
from aegis.ledger import Ledger
from aegis.mail import Post

SECONDS, SENDERS = 2.0, 32
BODY = "x" * 300  # with its header a record of about 450 bytes


async def accepts(folder: Path, senders: int) -> tuple[float, float, float]:
    """Deliver mail from so many senders at once; return how many a second, the 99th percentile and CPU in ms."""
    ledger, took = Ledger(folder / f"ledger-{senders}.db", lambda: "2026-01-05T10:00:00Z"), list[float]()
    async with trio.open_nursery() as base:
        base.start_soon(ledger.run)
        post = Post(ledger, Bus(), Clock())
        for n in range(senders):
            post.mailbox(f"agent-{n}")
        started, cpu = time.perf_counter(), time.process_time()

        async def send(to: str) -> None:
            while time.perf_counter() - started < SECONDS:
                before = time.perf_counter()
                await post.deliver(post.envelope("human:bench", to, BODY))
                took.append(time.perf_counter() - before)

        async with trio.open_nursery() as nursery:
            for n in range(senders):
                nursery.start_soon(send, f"agent-{n}")
        seconds, spent = time.perf_counter() - started, time.process_time() - cpu
        base.cancel_scope.cancel()
    return len(took) / seconds, sorted(took)[len(took) * 99 // 100] * 1000, spent / len(took) * 1000


def main() -> Iterator[Row]:
    """Yield the rows."""
    with projects.folder() as folder:
        least = 1000 / floors.commit_ms(folder)
        for senders in (1, SENDERS):
            rate, slow, cpu = trio.run(accepts, folder, senders)
            what = f"durable accepts, {senders} sender{'s'[: senders > 1]} (floor: raw commits in a row)"
            aims = [Aim(0.2, "ratio")] if senders == SENDERS else []
            yield Row(what, rate, "/s", cpu, least, aims, more=True)
            yield Row("  99th percentile", slow)


if __name__ == "__main__":
    report(main())
