"""Reading many letters, page by page, and how long others wait meanwhile."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator

import projects
import seeding
import trio
from rows import Aim, Curve, Found, Row, report

PAGE = 100
SIZES = (1_000, 3_000, 10_000, 50_000)


async def reading(serving: projects.Serving, count: int, page: int) -> tuple[float, float, float, float]:
    """Return the ms of reading so many letters, of the longest call of another meanwhile, CPU ms and KB written."""
    waits: list[float] = []
    async with serving.client() as client, serving.client() as other, trio.open_nursery() as nursery:

        async def calling() -> None:
            while True:
                began = time.perf_counter()
                await other.call("sessions")
                waits.append((time.perf_counter() - began) * 1000)

        nursery.start_soon(calling)
        while len(waits) < 20:  # noqa: ASYNC110 - others count
            await trio.sleep(0.05)
        usual = sorted(waits)[len(waits) // 2]
        waits.clear()
        began, cpu, size = time.perf_counter(), serving.cpu, written(serving)
        for _ in range(count // page):
            assert len(await client.call("message inbox", {"count": page})) == page
        took = (time.perf_counter() - began) * 1000
        nursery.cancel_scope.cancel()
    return took, max(waits, default=0) - usual, (serving.cpu - cpu) * 1000, (written(serving) - size) / 1024


def written(serving: projects.Serving) -> int:
    """Return how many bytes the kernel has written so far, where the system says so."""
    said = projects.Path(f"/proc/{serving.process.pid}/io")
    return int(said.read_text().split("wchar: ")[1].split()[0]) if said.exists() else 0


def main() -> Iterator[Found]:
    """Yield the rows and the curves."""
    pages, stalled = {}, {}
    for count in SIZES:
        with projects.folder() as folder:
            place = projects.Place(folder)
            seeding.write(place.root, (seeding.letters(f"human:{getpass.getuser()}"), count))
            with place.serving() as serving:
                if count == 3_000:
                    read, stall, cpu, kilobytes = trio.run(reading, serving, count, PAGE)
                else:
                    pages[f"{count:,}"], stall, *_ = trio.run(reading, serving, PAGE, PAGE)
                    stalled[f"{count:,}"] = max(stall, 0.01)
        if count == 3_000:
            yield Row(f"message inbox of 3,000 letters, {PAGE} at a time", read, "ms", cpu)
            yield Row("  another's call waits meanwhile, at most", max(stall, 0.01), aims=[Aim(5)])
            yield Row("  written", kilobytes, "KB")
    yield Curve(f"message inbox, {PAGE} letters", "unread letters", pages)
    yield Curve("another's longest wait meanwhile", "unread letters", stalled)


if __name__ == "__main__":
    report(main())
