"""The verbs on whole canvases: open, read, list, subscribe, close."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Completes, Kernel, Refused, verb
from aegis.clock import new_id
from aegis_canvas.access import Access
from aegis_canvas.document import Document, plain, render
from aegis_canvas.headings import clean
from aegis_canvas.notifier import address, is_agents
from aegis_canvas.safe_file import Unreadable
from aegis_canvas.seen import Seen
from aegis_canvas.store import Canvas, Store
from aegis_canvas.watcher import Watcher
from aegis_canvas.writer import Writer
from aegis_printable.printable import printable_line

Name = Annotated[str, Completes("canvas"), Field(description="name of the canvas")]
OneSection = Annotated[str, Completes("section"), Field(description="heading of one section; empty for all")]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z")


class SectionView(msgspec.Struct, frozen=True):
    """A section in a list; `version` is the version of the canvas that changed it last."""

    name: str
    lines: int
    last_writer: str
    updated_at: str
    version: int
    claimed_by: str = ""

    def __str__(self) -> str:
        whose = f", {self.last_writer}" * bool(self.last_writer) + f", claimed by {self.claimed_by}" * bool(
            self.claimed_by
        )
        return f"  {self.name}: {self.lines} lines, version {self.version}{whose}"


class CanvasView(msgspec.Struct, frozen=True):
    """A canvas; `condition` says what is wrong with its file, empty when nothing is."""

    name: str
    file: str
    created_at: str
    version: int
    condition: str
    subscribers: list[str]
    sections: list[SectionView]

    def __str__(self) -> str:
        head = f"{self.name}: {self.condition or self.file}, version {self.version}"
        watched = [f"watched by {', '.join(self.subscribers)}"] * bool(self.subscribers)
        return "\n".join([head, *map(str, self.sections), *watched])


class Page(msgspec.Struct, frozen=True):
    """The text of a canvas or of one section; `version` is the version a write can be based on."""

    content: str
    canvas: str
    section: str
    version: int

    def __str__(self) -> str:
        return self.content


class Subscribed(msgspec.Struct, frozen=True):
    """Who is told when a canvas changes."""

    ok: bool
    canvas: str
    subscribers: list[str]

    def __str__(self) -> str:
        return f"{self.canvas} is watched by {', '.join(self.subscribers) or 'nobody'}"


class CanvasVerbs:
    """Open, read, list, subscribe, close."""

    name = "canvases"

    def __init__(
        self, kernel: Kernel, store: Store, writer: Writer, seen: Seen, watcher: Watcher, access: Access
    ) -> None:
        self._kernel, self._store, self._writer, self._seen, self._watcher = kernel, store, writer, seen, watcher
        self._access = access
        self._opening = trio.Lock()
        kernel.verbs.complete_with("canvas", lambda: sorted(c.name for c in store.canvases.values()))

    @verb("canvas open", tool="aegis_canvas_open", positional=("name", "file"))
    async def open(
        self,
        caller: Caller,
        name: Name,
        file: Annotated[str, Field(description="path of the Markdown file; needed the first time")] = "",
    ) -> CanvasView:
        """Open a Markdown file as a canvas that everyone can read, write by section and watch.

        A file that does not exist is created. A canvas that is open is shown. A section is a `## heading` and
        everything below it, down to the next one.
        """
        async with self._opening:
            canvas = self._store.get(name)
            if canvas is None:
                canvas = await self._opened(caller, name, file)
            elif (await self._access.read(caller, canvas)) and file and self._relative(file) != canvas.file:
                raise Refused(f"the canvas {name!r} is {canvas.file}; take another name for {file}")
        await self._writer.refresh(canvas)
        return self._view(canvas)

    async def _opened(self, caller: Caller, name: str, file: str) -> Canvas:
        if not file:
            self._store.find(name)  # raises, with those there are
        if not _NAME.match(name):
            raise Refused(f"{name!r} cannot be a canvas's name: up to 60 letters, digits, '.', '_' and '-'")
        path = self._relative(file)
        real = self._real(path)
        await self._access.open(caller, path, real)
        for other in self._store.canvases.values():
            if self._real(other.file) == real:
                raise Refused(f"{path} is open already, as the canvas {other.name!r}; use that one")
        canvas = Canvas(new_id(), name, path, self._writer.now(), str(caller), by_id=caller.agent_id)
        await self._writer.open(canvas, caller)
        self._watcher.renew()
        return self._store.find(name)

    def _relative(self, file: str) -> str:
        if (shown := printable_line(file)) != file:
            raise Refused(f"a canvas cannot be the file '{shown}': its name has characters that are not seen")
        root = self._kernel.project.root
        path = Path(os.path.normpath(root / file)) if os.path.isabs(file) else Path(file)  # noqa: PTH117
        if path.is_absolute():
            return str(path.relative_to(root) if path.is_relative_to(root) else path)
        return str(path)

    def _real(self, file: str) -> Path:
        try:
            return self._writer.file(file).real()
        except FileNotFoundError:
            return self._kernel.project.root / file  # its folder does not exist, so no other path leads to it
        except (Unreadable, OSError):
            raise Refused(f"{file} cannot be a canvas: it cannot be opened as a file") from None

    @verb("canvas read", tool="aegis_canvas_read", read_only=True, positional=("name", "section"))
    async def read(self, caller: Caller, name: Name, section: OneSection = "") -> Page:
        """Return the text of a canvas, or of one section, and its version.

        For agents:
        Pass the version to your next write, so that nobody's change in between is overwritten.
        """
        canvas = await self._access.read(caller, self._store.find(name))
        document = await self._writer.document(canvas)
        content = document.find(clean(section)).text if section else plain(_whole(document))
        self._seen.note(address(caller), canvas.id, canvas.revision, clean(section))
        return Page(content, name, clean(section), canvas.revision)

    @verb("canvas list", tool="aegis_canvas_list", read_only=True)
    async def everything(self, caller: Caller) -> list[CanvasView]:
        """List the open canvases, their sections, and who wrote each last; those that you may read."""
        there = sorted(self._store.canvases.values(), key=lambda c: c.name)
        return [self._view(canvas) for canvas in there if await self._access.seen(caller, canvas)]

    @verb("canvas subscribe", tool="aegis_canvas_subscribe", for_={"agent", "person"})
    async def subscribe(
        self, caller: Caller, name: Name,
        sections: Annotated[
            tuple[str, ...], Field(max_length=1_000, description="sections to watch; none means all")
        ] = (),
    ) -> Subscribed:  # fmt: skip
        """Get mail whenever somebody else changes a canvas, or some of its sections.

        A new subscription to the same canvas replaces the old one.
        """
        canvas = await self._access.read(caller, self._store.find(name))
        wanted = [clean(section) for section in sections] or None
        who = address(caller)
        if canvas.subscribers.get(who, ()) != wanted:
            await self._store.append(self._store.draft("subscribed", canvas, who=who, sections=wanted))
        return Subscribed(True, name, self._watchers(canvas))

    @verb("canvas unsubscribe", tool="aegis_canvas_unsubscribe", for_={"agent", "person"})
    async def unsubscribe(self, caller: Caller, name: Name) -> Subscribed:
        """Stop the mail about changes to a canvas."""
        canvas = self._store.find(name)
        if address(caller) in canvas.subscribers:
            await self._store.append(self._store.draft("unsubscribed", canvas, who=address(caller)))
        return Subscribed(True, name, self._watchers(canvas))

    @verb("canvas close", for_={"person", "program"}, checks=True)
    async def close(self, caller: Caller, name: Name) -> str:
        """Close a canvas and end its subscriptions and claims; its file stays."""
        canvas = self._store.find(name)
        if is_agents(caller):  # a workflow that an agent began
            raise Refused(f"only a person can close a canvas, and {caller} acts for {caller.principal}")
        async with self._writer.lock(canvas):
            await self._writer.tell(canvas)
            await self._store.append(self._store.draft("closed", canvas, by=str(caller)))
        self._watcher.renew()
        return f"{name} is closed; {canvas.file} stays"

    # -- views --------------------------------------------------------------------------------------------------

    def _watchers(self, canvas: Canvas) -> list[str]:
        return sorted(self._kernel.roster.label(who) for who in canvas.subscribers)

    def _view(self, canvas: Canvas) -> CanvasView:
        now = self._writer.now()
        sections = []
        for ref in list(canvas.parts.values())[1:]:
            version, writer, at = canvas.last.get(ref.name, (canvas.revision, "", ""))
            claim = self._store.claim(canvas, ref.name, now)
            holder = self._kernel.roster.label(claim.holder) if claim else ""
            sections.append(SectionView(ref.name, ref.lines, writer, at, version, holder))
        watchers = self._watchers(canvas)
        return CanvasView(
            canvas.name, canvas.file, canvas.created_at, canvas.revision, canvas.condition, watchers, sections
        )


def _whole(document: Document) -> str:
    return render(document).removeprefix("\ufeff")
