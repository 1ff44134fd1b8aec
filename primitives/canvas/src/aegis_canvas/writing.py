"""The verbs that change a canvas: write, append, undo, and a section kept for oneself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Completes, Kernel, NotFound, Refused, verb
from aegis.clock import stamp
from aegis_canvas.canvases import PEOPLE, Name
from aegis_canvas.document import LONGEST_NAME, Document, Part, appended, clean, parse, written
from aegis_canvas.mailing import address
from aegis_canvas.notices import diff
from aegis_canvas.scribe import Scribe
from aegis_canvas.seen import Seen
from aegis_canvas.shelf import Canvas, Ref, Revision, Shelf

Section = Annotated[str, Completes("section"), Field(description="its heading, without the signs")]
Version = Annotated[
    int, Field(ge=0, description="the version this is based on, as read; 0 for what you were shown last")
]
LONGEST = 1_000_000  # characters
_SHOWN = 4_000  # characters of a text or a difference in a sentence; the data have them whole
_LONGEST_CLAIM = 24 * 60  # minutes


class Written(msgspec.Struct, frozen=True):
    """What a write did; `version` is the canvas's now."""

    ok: bool
    canvas: str
    section: str
    op: str
    writer: str
    added: int
    removed: int
    timestamp: str
    version: int

    def __str__(self) -> str:
        if not self.added + self.removed:
            return f'section "{self.section}" of {self.canvas} says so already (version {self.version})'
        lines = f"+{self.added} / -{self.removed} lines"
        return f'section "{self.section}" of {self.canvas}: {self.op}, {lines}, version {self.version}'


class Claimed(msgspec.Struct, frozen=True):
    """A section that only its holder may write, until then."""

    canvas: str
    section: str
    holder: str
    until: str

    def __str__(self) -> str:
        return f'section "{self.section}" of {self.canvas} is {self.holder}\'s until {self.until}'


@dataclass
class Stale(Exception):
    """A write is based on a text that is not the section's any more."""

    section: str
    what: str
    writer: str
    base: int
    now: int
    old: str
    current: str

    def refusal(self) -> Refused:
        """Return it as the writer is told: what changed, and what is there now."""
        change = diff(self.old, self.current, f"version {self.base}", f"version {self.now}")
        return Refused(
            f"{self.what}. What changed:\n{_cut(change)}\nIt reads now:\n{_cut(self.current)}\n"
            f"Nothing was written; write again, based on version {self.now}",
            section=self.section, version=self.now, writer=self.writer, current=self.current, diff=change,
        )  # fmt: skip


class Writing:
    """What changes a canvas."""

    name = "writing"

    def __init__(self, kernel: Kernel, shelf: Shelf, scribe: Scribe, seen: Seen) -> None:
        self._kernel, self._shelf, self._scribe, self._seen = kernel, shelf, scribe, seen
        kernel.verbs.complete_with(
            "section", lambda: sorted({ref.name for c in shelf.canvases.values() for ref in c.parts[1:]})
        )

    @verb("canvas write-section", tool="aegis_canvas_write_section")
    async def write(self, caller: Caller, name: Name, section: Section, content: str, version: Version = 0) -> Written:
        """Replace what one section says; one that is not there is added at the end, and nothing else is touched.

        Refused, with the text as it is now and the difference, when somebody changed the section since the version
        this is based on. Write the text below the heading only, with ### and deeper for headings inside.
        """
        canvas, section = self._shelf.find(name), _named(section)
        _sized(content)
        who = address(caller)

        def check(document: Document) -> None:
            self._unclaimed(canvas, section, caller)
            base = version or self._seen.last(who, canvas.id, section)
            if base > canvas.revision:
                raise Refused(f"{name} has no version {base} yet; it is at {canvas.revision}")
            if base and base < canvas.revision:
                self._fresh(canvas, document, section, base, caller)

        try:
            made = await self._scribe.change(
                canvas, caller, "written", check, lambda document: written(document, section, content)
            )
        except Stale as stale:
            raise await trio.to_thread.run_sync(stale.refusal) from None  # large texts take seconds to compare
        return self._result(canvas, caller, section, "write", made)

    @verb("canvas append-to-section", tool="aegis_canvas_append_to_section")
    async def append(self, caller: Caller, name: Name, section: Section, text: str) -> Written:
        """Add lines to the end of one section, whoever wrote in it meanwhile; one that is not there is made."""
        canvas, section = self._shelf.find(name), _named(section)
        _sized(text)
        made = await self._scribe.change(
            canvas, caller, "appended", lambda _: self._unclaimed(canvas, section, caller),
            lambda document: appended(document, section, text),
        )  # fmt: skip
        return self._result(canvas, caller, section, "append", made)

    @verb("canvas write", callers=PEOPLE)
    async def brief_write(
        self, caller: Caller, name: Name, section: Section, content: str, version: Version = 0
    ) -> Written:
        """Do what `canvas write-section` does, in fewer words."""
        return await self.write(caller, name, section, content, version)

    @verb("canvas append", callers=PEOPLE)
    async def brief_append(self, caller: Caller, name: Name, section: Section, text: str) -> Written:
        """Do what `canvas append-to-section` does, in fewer words."""
        return await self.append(caller, name, section, text)

    @verb("canvas undo", tool="aegis_canvas_undo", positional=("name",))
    async def undo(
        self, caller: Caller, name: Name,
        version: Annotated[int, Field(ge=0, description="which; 0 for the newest")] = 0,
    ) -> Written:  # fmt: skip
        """Take back what one version changed; agents take back their own. A file that is gone is written anew.

        Refused when a section that it changed was changed again since. To undo an undo brings the text back.
        """
        canvas = self._shelf.find(name)
        if not version and (made := await self._scribe.write_anew(canvas, caller)):
            return self._result(canvas, caller, "", "undo", made)
        await self._scribe.look(canvas)  # what was done outside a moment ago is the newest version
        target = self._revision(canvas, version or canvas.revision)
        if caller.kind == "agent" and target.by_id != caller.agent_id:
            by = target.by or "the file as it was opened"
            raise Refused(f"{caller} may undo what it wrote; version {target.n} is by {by}. Ask them, or a person")
        if target.n == 1:
            raise Refused(f"version 1 is {canvas.file} as it was opened; there is nothing before it")
        before, after = (self._shelf.parts_at(canvas, n) for n in (target.n - 1, target.n))

        def check(document: Document) -> None:
            for section in {ref.name for ref in target.new} | {touch.name for touch in target.touched}:
                self._unclaimed(canvas, section, caller)
                if _ref(after, section) != _ref(canvas.parts, section):
                    last = canvas.last.get(section, (canvas.revision, "", ""))
                    raise Refused(
                        f'section "{section}" of {name} was changed again since version {target.n}, by {last[1]} in '
                        f"version {last[0]}; undo that first, or write the section"
                    )

        texts = self._scribe.former(canvas, before)
        made = await self._scribe.change(
            canvas, caller, "restored", check, lambda document: _undone(document, before, after, texts)
        )
        return self._result(canvas, caller, "", "undo", made)

    @verb("canvas claim", tool="aegis_canvas_claim", callers=frozenset({"agent", "human"}))
    async def claim(
        self, caller: Caller, name: Name, section: Section,
        minutes: Annotated[float, Field(gt=0, le=_LONGEST_CLAIM)] = 15,
    ) -> Claimed:  # fmt: skip
        """Keep a section for yourself for a while: until then nobody else's write to it is taken."""
        canvas, section = self._shelf.find(name), _named(section)
        async with self._scribe.alone(canvas):
            self._unclaimed(canvas, section, caller)
            until = stamp(self._kernel.clock.now() + timedelta(minutes=minutes))
            draft = self._shelf.draft("claimed", canvas, section=section, holder=address(caller), until=until)
            await self._shelf.store(draft)
        return Claimed(name, section, caller.name, until)

    @verb("canvas release", tool="aegis_canvas_release", callers=frozenset({"agent", "human"}))
    async def release(self, caller: Caller, name: Name, section: Section) -> str:
        """Let others write a section that you kept for yourself; a person may end anybody's claim."""
        canvas, section = self._shelf.find(name), _named(section)
        claim = self._shelf.claim(canvas, section, self._scribe.now())
        if claim is None:
            raise Refused(f'nobody has claimed section "{section}" of {name}')
        if caller.kind == "agent" and claim.holder != caller.agent_id:
            holder = self._kernel.roster.label(claim.holder)
            raise Refused(f'section "{section}" of {name} is claimed by {holder}; only they or a person may release it')
        await self._shelf.store(self._shelf.draft("released", canvas, section=section))
        return f'section "{section}" of {name} is free'

    # -- what speaks against it ---------------------------------------------------------------------------------

    def _unclaimed(self, canvas: Canvas, section: str, caller: Caller) -> None:
        now = self._kernel.clock.now()
        claim = self._shelf.claim(canvas, section, stamp(now))
        if claim and claim.holder != address(caller):
            left = datetime.fromisoformat(claim.until) - now
            minutes = -(-left.total_seconds() // 60)
            holder = self._kernel.roster.label(claim.holder)
            raise Refused(
                f'section "{section}" of {canvas.name} is claimed by {holder} for {minutes:.0f} more '
                f"minute{'s' if minutes > 1 else ''}; write then, or another section, or ask {holder}",
                section=section, holder=holder, until=claim.until,
            )  # fmt: skip

    def _fresh(self, canvas: Canvas, document: Document, section: str, base: int, caller: Caller) -> None:
        """Raise `Stale` for what is based on a text that is not the section's any more."""
        part = document.get(section)
        current = part.text if part else ""
        last, writer, at = canvas.last.get(section, (0, "", ""))
        was = self._shelf.text_at(canvas, base, section)
        if last <= base and (part is not None or was is None):
            return
        self._seen.note(address(caller), canvas.id, canvas.revision, section)
        old = Part(section, "", was or "").text
        by = f"by {writer} at {at} (version {last})" if part else "and is not there any more"
        what = f'section "{section}" of {canvas.name} was changed since version {base}, {by}'
        raise Stale(section, what, writer, base, canvas.revision, old, current)

    def _revision(self, canvas: Canvas, n: int) -> Revision:
        for revision in self._shelf.history(canvas, newest=True):
            if revision.n == n:
                return revision
        raise NotFound(f"{canvas.name} has the versions 1 to {canvas.revision}, and no {n}")

    def _result(self, canvas: Canvas, caller: Caller, section: str, op: str, made: Revision | None) -> Written:
        touched = made.touched if made else ()
        for name in {section, *(touch.name for touch in touched)} - {""}:
            self._seen.note(address(caller), canvas.id, made.n if made else canvas.revision, name)
        names = section or ", ".join(touch.name for touch in touched)
        added, removed = sum(t.added for t in touched), sum(t.removed for t in touched)
        at, version = (made.at, made.n) if made else (self._scribe.now(), canvas.revision)
        return Written(True, canvas.name, names, op, str(caller), added, removed, at, version)


def _named(section: str) -> str:
    name = clean(section)
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused(f"{section!r} is no heading; say 1 to {LONGEST_NAME} characters of plain words")
    return name


def _sized(text: str) -> None:
    if len(text) > LONGEST:
        raise Refused(f"{len(text):,} characters are too many for a section (at most {LONGEST:,})")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n… ({len(text) - _SHOWN:,} more characters)"


def _ref(refs: tuple[Ref, ...], name: str) -> str | None:
    return next((ref.text for ref in refs if ref.name == name), None)


def _undone(document: Document, before: tuple[Ref, ...], after: tuple[Ref, ...], texts: Document) -> Document:
    """Return the document with every section that differs between the two as it was before."""
    now = {part.name: part for part in document.parts}
    old = {part.name: part for part in texts.parts}
    was, then = {ref.name: ref.text for ref in before}, {ref.name: ref.text for ref in after}
    order = [part.name for part in document.parts]
    if order == [ref.name for ref in after]:
        order = [ref.name for ref in before]
    for name in [ref.name for ref in before]:
        if was[name] != then.get(name):
            now[name] = old[name]
            if name not in order:
                ahead = [n for n in list(was)[: list(was).index(name)] if n in order]
                order.insert(order.index(ahead[-1]) + 1 if ahead else 0, name)
    kept = [now[name] for name in order if name in was or name not in then]
    new = parse("".join(part.raw for part in kept))
    if [part.raw.rstrip() for part in new.sections] != [part.raw.rstrip() for part in kept[1:] if part.raw]:
        raise Refused("the text as it was does not fit into what the file is now; write the sections instead")
    return new
