"""The verbs on canvases: which there are, what they say, who watches them."""

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
from aegis_canvas.document import Document, clean, plain, render
from aegis_canvas.mailing import address
from aegis_canvas.place import Unreadable
from aegis_canvas.scribe import Scribe
from aegis_canvas.seen import Seen
from aegis_canvas.shelf import Canvas, Shelf
from aegis_canvas.watch import Watch

Name = Annotated[str, Completes("canvas"), Field(description="which canvas")]
PEOPLE = frozenset({"human", "telegram", "system"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z")
_DOCUMENTS = (".md", ".markdown", ".txt")
_GOVERNING = frozenset({
    "agent.md", "agents.md", "claude.md", "claude.local.md", "codex.md", "gemini.md", "qwen.md", "skill.md",
})  # fmt: skip


class SectionFace(msgspec.Struct, frozen=True):
    """A section in a list; `version` is the canvas's when it was last changed."""

    name: str
    lines: int
    last_writer: str
    updated_at: str
    version: int
    claimed_by: str = ""

    def __str__(self) -> str:
        whose = f", {self.last_writer}" * bool(self.last_writer) + f", kept by {self.claimed_by}" * bool(
            self.claimed_by
        )
        return f"  {self.name}: {self.lines} lines, version {self.version}{whose}"


class Face(msgspec.Struct, frozen=True):
    """A canvas; `condition` says what is wrong with its file, empty when nothing is."""

    name: str
    file: str
    created_at: str
    version: int
    condition: str
    subscribers: list[str]
    sections: list[SectionFace]

    def __str__(self) -> str:
        head = f"{self.name}: {self.condition or self.file}, version {self.version}"
        watched = [f"watched by {', '.join(self.subscribers)}"] * bool(self.subscribers)
        return "\n".join([head, *map(str, self.sections), *watched])


class Page(msgspec.Struct, frozen=True):
    """What a canvas, or one section, says; `version` is what a write may be based on."""

    content: str
    canvas: str
    section: str
    version: int

    def __str__(self) -> str:
        return self.content


class Subscribed(msgspec.Struct, frozen=True):
    """Who is told of a canvas now."""

    ok: bool
    canvas: str
    subscribers: list[str]

    def __str__(self) -> str:
        return f"{self.canvas} is watched by {', '.join(self.subscribers) or 'nobody'}"


class Canvases:
    """Which canvases there are, and who watches them."""

    name = "canvases"

    def __init__(self, kernel: Kernel, shelf: Shelf, scribe: Scribe, seen: Seen, watch: Watch) -> None:
        self._kernel, self._shelf, self._scribe, self._seen, self._watch = kernel, shelf, scribe, seen, watch
        self._opening = trio.Lock()
        kernel.verbs.complete_with("canvas", lambda: sorted(c.name for c in shelf.canvases.values()))

    def restore(self) -> None:
        """Rebuild what is known of canvases."""
        self._shelf.restore()

    async def agent_closed(self, agent_id: str) -> None:
        """End the subscriptions and the claims of an agent that is gone."""
        self._seen.forget(agent_id)
        drafts = []
        for canvas in self._shelf.canvases.values():
            if agent_id in canvas.subscribers:
                drafts.append(self._shelf.draft("unsubscribed", canvas, who=agent_id))
            held = [claim for claim in canvas.claims.values() if claim.holder == agent_id]
            drafts += [self._shelf.draft("released", canvas, section=claim.section) for claim in held]
        if drafts:
            await self._shelf.store(*drafts)

    # -- verbs --------------------------------------------------------------------------------------------------

    @verb("canvas open", tool="aegis_canvas_open", positional=("name", "file"))
    async def open(
        self,
        caller: Caller,
        name: Name,
        file: Annotated[str, Field(description="path in the project; needed the first time")] = "",
    ) -> Face:
        """Open a Markdown file as a canvas that everyone can read, write by section and watch; show it if it is open.

        The file is made if it is not there. A section is a `## heading` and what stands below it.
        """
        async with self._opening:
            canvas = self._shelf.get(name)
            if canvas is None:
                canvas = await self._opened(caller, name, file)
            elif file and self._relative(file) != canvas.file:
                raise Refused(f"the canvas {name!r} is {canvas.file}; take another name for {file}")
        await self._scribe.look(canvas)
        return self._face(canvas)

    async def _opened(self, caller: Caller, name: str, file: str) -> Canvas:
        if not file:
            self._shelf.find(name)  # raises, with those there are
        if not _NAME.match(name):
            raise Refused(f"{name!r} is no name for a canvas: letters, digits, '.', '_' and '-', at most 60")
        path = self._relative(file)
        real = self._real(path)
        if caller.kind == "agent":
            self._check(caller, path, real)
        for other in self._shelf.canvases.values():
            if self._real(other.file) == real:
                raise Refused(f"{path} is the canvas {other.name!r} already; work with that")
        canvas = Canvas(new_id(), name, path, self._scribe.now(), str(caller))
        await self._scribe.open(canvas, caller)
        self._watch.renew()
        return self._shelf.find(name)

    def _relative(self, file: str) -> str:
        root = self._kernel.project.root
        path = Path(os.path.normpath(root / file)) if os.path.isabs(file) else Path(file)  # noqa: PTH117
        if path.is_absolute():
            return str(path.relative_to(root) if path.is_relative_to(root) else path)
        return str(path)

    def _real(self, file: str) -> Path:
        try:
            return self._scribe.place(file).real()
        except FileNotFoundError:
            return self._kernel.project.root / file  # its folder is not there yet, so nothing else leads to it
        except (Unreadable, OSError):
            raise Refused(f"{file} cannot be a canvas: it is no file that can be reached") from None

    def _check(self, caller: Caller, file: str, real: Path) -> None:
        """Refuse an agent what is no document, or what tells agents, git and shells what to do."""
        root = self._kernel.project.root
        steps = [*Path(file).parts, *(real.relative_to(root).parts if real.is_relative_to(root) else real.parts)]
        hidden = any(step.startswith(".") and step not in (".", "..") for step in steps)
        if hidden or not real.name.lower().endswith(_DOCUMENTS) or real.name.lower() in _GOVERNING:
            raise Refused(
                f"{caller} may open {', '.join(_DOCUMENTS)} files that are not hidden and that no agent takes orders "
                f"from as a canvas, and {file} is not one; a person may open any: aegis canvas open NAME {file}"
            )

    @verb("canvas read", tool="aegis_canvas_read", read_only=True, positional=("name", "section"))
    async def read(self, caller: Caller, name: Name, section: str = "") -> Page:
        """Return what a canvas says, or one section of it, with the version to name when you write."""
        canvas = self._shelf.find(name)
        document = await self._scribe.document(canvas)
        content = document.find(clean(section)).text if section else plain(_whole(document))
        self._seen.note(address(caller), canvas.id, canvas.revision, clean(section))
        return Page(content, name, clean(section), canvas.revision)

    @verb("canvas list", tool="aegis_canvas_list", read_only=True)
    async def everything(self, caller: Caller) -> list[Face]:
        """List the canvases that are open, their sections, and who wrote them last."""
        return [self._face(canvas) for canvas in sorted(self._shelf.canvases.values(), key=lambda c: c.name)]

    @verb("canvas subscribe", tool="aegis_canvas_subscribe", callers=frozenset({"agent", "human"}))
    async def subscribe(self, caller: Caller, name: Name, sections: tuple[str, ...] = ()) -> Subscribed:
        """Be told by mail whenever somebody else changes a canvas, or only some of its sections."""
        canvas = self._shelf.find(name)
        wanted = [clean(section) for section in sections] or None
        who = address(caller)
        if canvas.subscribers.get(who, ()) != wanted:
            await self._shelf.store(self._shelf.draft("subscribed", canvas, who=who, sections=wanted))
        return Subscribed(True, name, self._watchers(canvas))

    @verb("canvas unsubscribe", tool="aegis_canvas_unsubscribe", callers=frozenset({"agent", "human"}))
    async def unsubscribe(self, caller: Caller, name: Name) -> Subscribed:
        """Be told no more of a canvas."""
        canvas = self._shelf.find(name)
        if address(caller) in canvas.subscribers:
            await self._shelf.store(self._shelf.draft("unsubscribed", canvas, who=address(caller)))
        return Subscribed(True, name, self._watchers(canvas))

    @verb("canvas close", callers=PEOPLE)
    async def close(self, caller: Caller, name: Name) -> str:
        """Forget a canvas, its subscriptions and its claims; the file stays as it is."""
        canvas = self._shelf.find(name)
        async with self._scribe.alone(canvas):
            await self._shelf.store(self._shelf.draft("closed", canvas, by=str(caller)))
        self._watch.renew()
        return f"{name} is closed; {canvas.file} stays"

    # -- faces --------------------------------------------------------------------------------------------------

    def _watchers(self, canvas: Canvas) -> list[str]:
        return sorted(self._kernel.roster.label(who) for who in canvas.subscribers)

    def _face(self, canvas: Canvas) -> Face:
        now = self._scribe.now()
        sections = []
        for ref in canvas.parts[1:]:
            version, writer, at = canvas.last.get(ref.name, (canvas.revision, "", ""))
            claim = self._shelf.claim(canvas, ref.name, now)
            holder = self._kernel.roster.label(claim.holder) if claim else ""
            sections.append(SectionFace(ref.name, ref.lines, writer, at, version, holder))
        watchers = self._watchers(canvas)
        return Face(canvas.name, canvas.file, canvas.created_at, canvas.revision, canvas.condition, watchers, sections)


def _whole(document: Document) -> str:
    return render(document).removeprefix("\ufeff")
