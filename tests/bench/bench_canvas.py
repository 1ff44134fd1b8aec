"""A section write that fifty subscribers are told of, on disk when it returns, beside one atomic file replace."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import trio

import aegis_canvas.plugin
from aegis import Caller
from aegis.app import open_kernel

CALLS, WARM, WATCHERS = 150, 10, 50
ANNA = Caller("human", "anna")
TEXT = "# Plan\n" + "".join(f"\n## Section {n}\n\n{'words ' * 12}\n" for n in range(20))


def replace(folder: Path) -> None:
    """Put a new version of a file in its place, durably."""
    new = folder / "floor.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, TEXT.encode())
    os.fsync(fd)
    os.close(fd)
    new.replace(folder / "floor.md")
    place = os.open(folder, os.O_RDONLY)
    os.fsync(place)
    os.close(place)


def floor(folder: Path) -> list[float]:
    """Return the milliseconds of each replace."""
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        replace(folder)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def writes(folder: Path, watchers: int) -> list[float]:
    """Return the milliseconds of each section write with so many who are told."""
    (folder / "plan.md").write_text(TEXT)
    took = []
    async with open_kernel(folder, plugins={"canvas": aegis_canvas.plugin}, environment={}) as kernel:
        await kernel.verbs.call(ANNA, "canvas open", {"name": "plan", "file": "plan.md"})
        for n in range(watchers):
            await kernel.verbs.call(Caller("human", f"watcher-{n}"), "canvas subscribe", {"name": "plan"})
        for n in range(CALLS + WARM):
            args = {"name": "plan", "section": f"Section {n % 20}", "content": f"{n} words\n" * 10}
            began = time.perf_counter()
            await kernel.verbs.call(ANNA, "canvas write-section", args)
            took.append((time.perf_counter() - began) * 1000)
    return took[WARM:]


def main() -> None:
    """Print the figures, the floor and the ratios."""
    print(f"{'canvas: a section write, p50 ms':<36}{'figure':>10}{'floor':>10}{'ratio':>8}")
    for watchers in (0, 1, WATCHERS):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # on the disk that a project would be on
            folder = Path(name)
            least = statistics.median(floor(folder))
            took = statistics.median(trio.run(writes, folder, watchers))
        print(f"{f'{watchers} subscribers':<36}{took:>10.2f}{least:>10.2f}{took / least:>8.2f}")
    print("floor: a file of the same size written, synced and put in place, and its folder synced")


if __name__ == "__main__":
    main()
