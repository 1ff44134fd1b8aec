"""The verbs that look back: what was changed, how it read, who wrote which line."""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Kernel, NotFound, verb
from aegis.errors import nearest
from aegis_canvas.canvases import Name, Page
from aegis_canvas.document import Document, clean, plain, render
from aegis_canvas.lines import compared
from aegis_canvas.scribe import Scribe
from aegis_canvas.shelf import Revision, Shelf
from aegis_canvas.writing import Section

OPENED = "(as opened)"  # who wrote what was in the file before it was a canvas


class Change(msgspec.Struct, frozen=True):
    """What one version did to one section."""

    version: int
    at: str
    by: str
    op: str
    section: str
    added: int
    removed: int


class Line(msgspec.Struct, frozen=True):
    """A line of a section and the version it came with."""

    line: int
    by: str
    at: str
    version: int
    text: str


class History:
    """What canvases were."""

    name = "history"

    def __init__(self, kernel: Kernel, shelf: Shelf, scribe: Scribe) -> None:
        self._kernel, self._shelf, self._scribe = kernel, shelf, scribe

    @verb("canvas log", tool="aegis_canvas_log", read_only=True, positional=("name", "section"))
    async def log(
        self, caller: Caller, name: Name, section: Section = "", count: Annotated[int, Field(ge=1, le=1000)] = 20
    ) -> list[Change]:
        """List what was changed in a canvas, or in one section, by whom and when; newest first."""
        canvas = self._shelf.find(name)
        await self._scribe.look(canvas)
        wanted = clean(section)
        found: list[Change] = []
        for revision in self._shelf.history(canvas, newest=True):
            for touch in revision.touched:
                if wanted in ("", touch.name):
                    by = revision.by or OPENED
                    found.append(
                        Change(revision.n, revision.at, by, touch.verb, touch.name, touch.added, touch.removed)
                    )
            if len(found) >= count:
                break
        return found[:count]

    @verb("canvas show", tool="aegis_canvas_show", read_only=True, positional=("name", "section"))
    async def show(
        self,
        caller: Caller,
        name: Name,
        section: Section = "",
        at: Annotated[int, Field(ge=0, description="a version of the log; 0 for the last one known")] = 0,
    ) -> Page:
        """Return what a canvas, or one section, said in a version of the past, also when its file is gone."""
        canvas = self._shelf.find(name)
        n = at or canvas.revision
        then = self._scribe.former(canvas, self._shelf.parts_at(canvas, n))
        content = _section(then, clean(section), n) if section else render(then).removeprefix("\ufeff")
        return Page(plain(content), name, clean(section), n)

    @verb("canvas blame", tool="aegis_canvas_blame", read_only=True)
    async def blame(self, caller: Caller, name: Name, section: Section) -> list[Line]:
        """Return the lines of a section, each with who wrote it, when, and in which version."""
        canvas = self._shelf.find(name)
        document = await self._scribe.document(canvas)
        wanted = document.find(clean(section)).name
        steps = [
            (revision, self._shelf.texts.get(ref.text)[ref.head :])
            for revision in self._shelf.history(canvas)
            for ref in revision.new
            if ref.name == wanted
        ]
        return await trio.to_thread.run_sync(_blamed, steps)


def _section(then: Document, section: str, n: int) -> str:
    part = then.get(section)
    if part is None:
        there = ", ".join(then.names) or "none"
        raise NotFound(f"version {n} has no section {section!r} (sections: {there}).{nearest(section, then.names)}")
    return part.text


def _blamed(steps: list[tuple[Revision, str]]) -> list[Line]:
    lines: list[str] = []
    origins: list[Revision] = []
    for revision, raw in steps:
        new = plain(raw).strip().splitlines()
        fresh: list[Revision] = []
        for equal, a, b, c, d in compared(lines, new):
            fresh += origins[a:b] if equal else [revision] * (d - c)
        lines, origins = new, fresh
    return [
        Line(number, origin.by or OPENED, origin.at, origin.n, line)
        for number, (line, origin) in enumerate(zip(lines, origins, strict=True), 1)
    ]
