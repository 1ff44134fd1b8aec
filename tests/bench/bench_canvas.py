"""A section write over the plane that agents are told of, beside one bare call and a durable replace; by sections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import floors
import projects
import seeding
import trio
from plane_caller import PlaneCaller
from rows import Aim, Curve, Found, Row, report

CALLS, SUBSCRIBERS, SECTIONS = 60, 50, 20
SIZES = (10, 100, 900)  # a canvas has no more than a thousand


class Writer:
    """An agent that writes to canvases."""

    def __init__(self, serving: projects.Serving, caller: PlaneCaller) -> None:
        self._serving, self._caller, self._numbers = serving, caller, count()

    async def writes(self, canvas: str, times: int = CALLS, pause: float = 0) -> projects.Timing:
        """Return what a write of this canvas takes."""

        async def write() -> None:
            words = f"{next(self._numbers)} words\n" * 10
            await self._caller.call("aegis_canvas_write_section", name=canvas, section="Section 4", content=words)

        await self._caller.call("aegis_canvas_read", name=canvas)
        return await self._serving.timed(write, times, warm=5, pause=pause)


async def measured(serving: projects.Serving) -> tuple[list[projects.Timing], dict[str, float]]:
    """Return what a write takes with none, one and many subscribers, and by sections."""
    async with serving.client() as client:
        ann = await client.call("spawn", {"agent": "quick", "handle": "ann"})
        writer = Writer(serving, PlaneCaller(*serving.secret(ann["id"])))
        for size in (SECTIONS, *SIZES):
            file = serving.place.root / f"plan{size}.md"
            file.write_text(seeding.sections(size))
            await client.call("canvas open", {"name": f"plan{size}", "file": file.name})
        by_sections = {f"{size}": (await writer.writes(f"plan{size}", 40)).p50 for size in SIZES}
        timings = [await writer.writes(f"plan{SECTIONS}")]
        for told in range(SUBSCRIBERS):
            bob = await client.call("spawn", {"agent": "quick", "handle": f"bob-{told}"})
            await PlaneCaller(*serving.secret(bob["id"])).call("aegis_canvas_subscribe", name=f"plan{SECTIONS}")
            if told == 0:
                timings.append(await writer.writes(f"plan{SECTIONS}", pause=0.03))
        timings.append(await writer.writes(f"plan{SECTIONS}", 30, pause=0.3))  # all of them have their turn
    return timings, by_sections


def main() -> Iterator[Found]:
    """Yield the rows and the curve."""
    with projects.folder() as folder:
        floor = floors.call_ms() + floors.replace_ms(folder, seeding.sections(SECTIONS).encode())
        with projects.Place(folder).serving() as serving:
            timings, by_sections = trio.run(measured, serving)
    for told, timing, aim in zip((0, 1, SUBSCRIBERS), timings, (2, None, 5), strict=True):
        what = f"canvas write over the plane, {told} agent{'s'[: told != 1]} subscribed"
        yield Row(what, timing.p50, "ms", timing.cpu, floor, [Aim(aim)] if aim else [])
    yield Row("  with 100 sections", by_sections["100"], "ms", None, floor, [Aim(3)])
    yield Row("  with 900 sections", by_sections["900"], "ms", None, floor, [Aim(5)])
    yield Curve("canvas write", "sections", by_sections)


if __name__ == "__main__":
    report(main())
