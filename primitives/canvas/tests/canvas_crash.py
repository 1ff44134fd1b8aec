"""What the crash harness runs: writers at one canvas, every acknowledgement noted before the writer's next step.

`python canvas_crash.py DISK NOTES`: the project is DISK, which can be lost; NOTES survives everything.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

import aegis_canvas.plugin
from aegis import Caller, Kernel, open_kernel

WRITERS = ("anna", "cleo", "dana")
STEPS = 1


def note(notes: Path, **what: Any) -> None:
    """Write it down for good."""
    with (notes / "acks").open("ab", buffering=0) as file:
        file.write(json.dumps(what).encode() + b"\n")
        os.fsync(file.fileno())


def noted(notes: Path) -> Iterator[dict[str, Any]]:
    """Yield what was written down."""
    path = notes / "acks"
    yield from map(json.loads, path.read_text().splitlines() if path.exists() else ())


async def call(kernel: Kernel, who: str, verb: str, **args: Any) -> Any:
    """Call a verb of canvases as a person."""
    return await kernel.verbs.call(Caller("human", who), f"canvas {verb}", {"name": "plan", **args})


async def writer(kernel: Kernel, notes: Path, who: str) -> None:
    """Write one's own section and add to everybody's, with pauses of chance."""
    chance = random.Random(who)
    for step in range(STEPS):
        for _ in range(chance.randrange(20)):
            await trio.lowlevel.checkpoint()
        token = f"{who}-{step}"
        done = await call(kernel, who, "append", section="All", text=token)
        note(notes, section="All", token=token, version=done.version)
        done = await call(kernel, who, "write", section=who, content=f"{token}\n" * 3)
        note(notes, section=who, token=token, version=done.version)


async def main(disk: Path, notes: Path) -> None:
    """Do a day's work."""
    async with open_kernel(disk, plugins={"canvas": aegis_canvas.plugin}, environment={}) as kernel:
        await call(kernel, "anna", "open", file="docs/plan.md")
        await call(kernel, "bo", "subscribe")
        note(notes, did="subscribed")
        async with trio.open_nursery() as nursery:
            for who in WRITERS:
                nursery.start_soon(writer, kernel, notes, who)
        done = await call(kernel, "anna", "undo")
        note(notes, did="undone", version=done.version)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]))
