"""The verbs on a canvas's history: log, show, blame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from pydantic import Field

from aegis import Caller, NotFound, verb
from aegis.errors import nearest
from aegis_canvas.access import Access
from aegis_canvas.canvas_verbs import Name, OneSection, Page
from aegis_canvas.document import Document, plain, render
from aegis_canvas.headings import clean
from aegis_canvas.line_diff import line_blocks
from aegis_canvas.section_verbs import Section
from aegis_canvas.store import Revision, Store
from aegis_canvas.texts import Select
from aegis_canvas.writer import Writer

OPENED = "(as opened)"  # who wrote what the file had before it became a canvas


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


class HistoryVerbs:
    """Log, show, blame."""

    name = "history"

    def __init__(self, store: Store, writer: Writer, access: Access) -> None:
        self._store, self._writer, self._access = store, writer, access

    @verb("canvas log", tool="aegis_canvas_log", read_only=True, positional=("name", "section"))
    async def log(
        self, caller: Caller, name: Name, section: OneSection = "",
        count: Annotated[int, Field(ge=1, le=1000, description="how many changes at most")] = 20,
    ) -> list[Change]:  # fmt: skip
        """List the changes of a canvas, or of one section: what, by whom and when; newest first."""
        canvas = await self._access.read(caller, self._store.find(name))
        await self._writer.refresh(canvas)
        wanted = clean(section)

        def read(select: Select) -> list[Change]:
            found: list[Change] = []
            for revision in self._store.history(canvas, newest=True, select=select):
                by = revision.by or OPENED
                found += (
                    Change(revision.n, revision.at, by, touch.verb, touch.name, touch.added, touch.removed)
                    for touch in revision.touched
                    if wanted in ("", touch.name)
                )
                if len(found) >= count:
                    break
            return found[:count]

        return await self._store.aside(read)

    @verb("canvas show", tool="aegis_canvas_show", read_only=True, positional=("name", "section"))
    async def show(
        self,
        caller: Caller,
        name: Name,
        section: OneSection = "",
        at: Annotated[int, Field(ge=0, description="version to show; 0: the newest")] = 0,
    ) -> Page:
        """Return the text of a canvas, or of one section, in an earlier version; the file may be gone."""
        canvas = await self._access.read(caller, self._store.find(name))
        n = at or canvas.revision
        then = await self._store.aside(
            lambda select: self._store.former(self._store.parts_at(canvas, n, select), select)
        )
        content = _section(then, clean(section), n) if section else render(then).removeprefix("\ufeff")
        return Page(plain(content), name, clean(section), n)

    @verb("canvas blame", tool="aegis_canvas_blame", read_only=True)
    async def blame(self, caller: Caller, name: Name, section: Section) -> list[Line]:
        """Return the lines of a section, each with who wrote it, when and in which version."""
        canvas = await self._access.read(caller, self._store.find(name))
        document = await self._writer.document(canvas)
        wanted = document.find(clean(section)).name

        def read(select: Select) -> list[Line]:
            return _blamed(
                (revision, self._store.texts.get(ref.text, select)[ref.head :])
                for revision in self._store.history(canvas, select=select)
                for ref in revision.new
                if ref.name == wanted
            )

        return await self._store.aside(read)


def _section(then: Document, section: str, n: int) -> str:
    part = then.get(section)
    if part is None:
        there = ", ".join(then.names) or "none"
        raise NotFound(f"version {n} has no section {section!r} (sections: {there}).{nearest(section, then.names)}")
    return part.text


def _blamed(steps: Iterable[tuple[Revision, str]]) -> list[Line]:
    lines: list[str] = []
    origins: list[Revision] = []
    for revision, raw in steps:
        new = plain(raw).strip().splitlines()
        fresh: list[Revision] = []
        for equal, a, b, c, d in line_blocks(lines, new):
            fresh += origins[a:b] if equal else [revision] * (d - c)
        lines, origins = new, fresh
    return [
        Line(number, origin.by or OPENED, origin.at, origin.n, line)
        for number, (line, origin) in enumerate(zip(lines, origins, strict=True), 1)
    ]
