"""The verbs that change sections: write, append, undo, claim, release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Completes, Kernel, NotFound, Refused, verb
from aegis.clock import stamp
from aegis_canvas.access import Access
from aegis_canvas.canvas_verbs import Name
from aegis_canvas.document import Document, Part, parse
from aegis_canvas.edits import appended, written
from aegis_canvas.headings import Judged, clean
from aegis_canvas.notices import diff
from aegis_canvas.notifier import address, is_agents
from aegis_canvas.seen import Seen
from aegis_canvas.store import Canvas, Ref, Revision, Store
from aegis_canvas.writer import Writer

Section = Annotated[str, Completes("section"), Field(description="the section's heading, without ##")]
Version = Annotated[
    int, Field(ge=0, description="version you read before you wrote this; 0: the last one you were shown")
]
Content = Annotated[str, Field(description="the text of the section, without its heading")]
Text = Annotated[str, Field(description="the lines to add")]
LONGEST_NAME = 200  # characters
LONGEST = 1_000_000
_SHOWN = 4_000  # characters of a text or a difference in an error; its data have them whole
_LONGEST_CLAIM = 24 * 60  # minutes


class Written(msgspec.Struct, frozen=True):
    """What a write did; `version` is the canvas's version now."""

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
            return f'section "{self.section}" of {self.canvas} has this text already (version {self.version})'
        lines = f"+{self.added} / -{self.removed} lines"
        return f'section "{self.section}" of {self.canvas}: {self.op}, {lines}, version {self.version}'


class Claimed(msgspec.Struct, frozen=True):
    """A section that only its holder may write until that time."""

    canvas: str
    section: str
    holder: str
    until: str

    def __str__(self) -> str:
        return f'section "{self.section}" of {self.canvas} is {self.holder}\'s until {self.until}'


@dataclass
class Stale(Exception):
    """A write is based on an old version of its section."""

    section: str
    what: str
    writer: str
    base: int
    now: int
    old: str
    current: str

    def refusal(self) -> Refused:
        """Return what the writer is told: what changed, and what the section says now."""
        change = diff(self.old, self.current, f"version {self.base}", f"version {self.now}") if self.base else ""
        changed = f" What changed:\n{_cut(change)}" if change else ""
        return Refused(
            f"{self.what}.{changed}\nIt reads now:\n{_cut(self.current)}\n"
            f"Nothing was written; write again, based on version {self.now}",
            section=self.section, version=self.now, writer=self.writer, current=self.current, diff=change,
        )  # fmt: skip


class SectionVerbs:
    """Write, append, undo, claim, release."""

    name = "sections"

    def __init__(self, kernel: Kernel, store: Store, writer: Writer, seen: Seen, access: Access) -> None:
        self._kernel, self._store, self._writer, self._seen, self._access = kernel, store, writer, seen, access
        kernel.verbs.complete_with(
            "section", lambda: sorted({name for c in store.canvases.values() for name in list(c.parts)[1:]})
        )

    @verb("canvas write-section", tool="aegis_canvas_write_section")
    async def write(
        self, caller: Caller, name: Name, section: Section, content: Content, version: Version = 0
    ) -> Written:
        """Replace the text of one section; a section that does not exist is added at the end.

        The rest of the file stays as it is, byte for byte. When somebody changed the section after `version`, the
        write is refused with the section's text and what changed in it.

        For agents:
        Send only the text below the heading; use ### and deeper for headings inside. After a refusal, merge your text
        with what the section says now and write again with the new version.
        """
        canvas, section = await self._access.write(caller, self._store.find(name)), _named(section)
        _sized(content)
        who = address(caller)

        def check(document: Document) -> None:
            self._unclaimed(canvas, section, caller)
            base = version or self._seen.last(who, canvas.id, section)
            if not base and caller.agent_id:  # a person's word is an order; what was there can be brought back
                self._unseen(canvas, document, section)
            if base > canvas.revision:
                raise Refused(f"{name} has no version {base} yet; it is at {canvas.revision}")
            if base and base < canvas.revision:
                self._fresh(canvas, document, section, base)

        try:
            made = await self._writer.change(
                canvas, caller, "written", check, lambda document, known: written(document, section, content, known)
            )
        except Stale as stale:
            self._seen.note(who, canvas.id, stale.now, section)
            raise await trio.to_thread.run_sync(stale.refusal) from None  # large texts take seconds to compare
        return self._result(canvas, caller, section, "write", made)

    @verb("canvas append-to-section", tool="aegis_canvas_append_to_section")
    async def append(self, caller: Caller, name: Name, section: Section, text: Text) -> Written:
        """Add lines to the end of one section; a section that does not exist is added to the canvas.

        It needs no version: what others wrote in the meantime stays.
        """
        canvas, section = await self._access.write(caller, self._store.find(name)), _named(section)
        _sized(text)
        known = False

        def check(document: Document) -> None:
            nonlocal known
            self._unclaimed(canvas, section, caller)
            last = canvas.last.get(section, (1, "", ""))[0]
            known = document.get(section) is None or self._seen.last(address(caller), canvas.id, section) >= last

        made = await self._writer.change(
            canvas, caller, "appended", check, lambda document, known: appended(document, section, text, known)
        )
        return self._result(canvas, caller, section, "append", made, known=known)

    @verb("canvas write", for_={"person", "program"}, checks=True)
    async def brief_write(
        self, caller: Caller, name: Name, section: Section, content: Content, version: Version = 0
    ) -> Written:
        """Short for `canvas write-section`: replace the text of one section."""
        done: Written = await self.write(caller, name, section, content, version)
        return done

    @verb("canvas append", for_={"person", "program"}, checks=True)
    async def brief_append(self, caller: Caller, name: Name, section: Section, text: Text) -> Written:
        """Short for `canvas append-to-section`: add lines to the end of one section."""
        done: Written = await self.append(caller, name, section, text)
        return done

    @verb("canvas undo", tool="aegis_canvas_undo", positional=("name",))
    async def undo(
        self, caller: Caller, name: Name,
        version: Annotated[int, Field(ge=0, description="version to undo; 0: the newest")] = 0,
    ) -> Written:  # fmt: skip
        """Undo what one version changed.

        An agent can undo its own versions only. Refused when one of the sections was changed again later. If the
        canvas's file was deleted, this writes it again. To undo an undo brings the text back.
        """
        canvas = await self._access.write(caller, self._store.find(name))
        if not version and (made := await self._writer.rewrite_missing(canvas, caller)):
            return self._result(canvas, caller, "", "undo", made, known=False)
        await self._writer.refresh(canvas)  # an edit made outside a moment ago is the newest version
        target = self._revision(canvas, version or canvas.revision)
        if is_agents(caller) and target.by_id != caller.agent_id:
            by = target.by or "the file as it was opened"
            raise Refused(f"{caller} can undo its own versions only; version {target.n} is by {by}. Ask a person")
        if target.n == 1:
            raise Refused(f"version 1 is {canvas.file} as it was opened; nothing can be undone in it")
        before, after = await self._store.aside(
            lambda select: [self._store.parts_at(canvas, n, select) for n in (target.n - 1, target.n)]
        )

        def check(document: Document) -> None:
            for section in {ref.name for ref in target.new} | {touch.name for touch in target.touched}:
                self._unclaimed(canvas, section, caller)
                if _ref(after, section) != _ref(canvas.parts.values(), section):
                    last = canvas.last.get(section, (canvas.revision, "", ""))
                    raise Refused(
                        f'section "{section}" of {name} was changed again since version {target.n}, by {last[1]} in '
                        f"version {last[0]}; undo that first, or write the section"
                    )

        texts = await self._store.aside(lambda select: self._store.former(before, select))
        made = await self._writer.change(
            canvas, caller, "restored", check, lambda document, known: _undone(document, before, after, texts, known)
        )
        return self._result(canvas, caller, "", "undo", made, known=False)

    @verb("canvas claim", tool="aegis_canvas_claim", for_={"agent", "person"})
    async def claim(
        self, caller: Caller, name: Name, section: Section,
        minutes: Annotated[float, Field(gt=0, le=_LONGEST_CLAIM, description="how long the claim lasts")] = 15,
    ) -> Claimed:  # fmt: skip
        """Claim a section for some minutes: nobody else can write it until then."""
        canvas, section = await self._access.write(caller, self._store.find(name)), _named(section)
        async with self._writer.lock(canvas):
            self._unclaimed(canvas, section, caller)
            until = stamp(self._kernel.clock.now() + timedelta(minutes=minutes))
            draft = self._store.draft("claimed", canvas, section=section, holder=address(caller), until=until)
            await self._store.append(draft)
        return Claimed(name, section, caller.name, until)

    @verb("canvas release", tool="aegis_canvas_release", for_={"agent", "person"})
    async def release(self, caller: Caller, name: Name, section: Section) -> str:
        """End your claim on a section; a person can end any claim."""
        canvas, section = self._store.find(name), _named(section)
        claim = self._store.claim(canvas, section, self._writer.now())
        if claim is None:
            raise Refused(f'nobody has claimed section "{section}" of {name}')
        if is_agents(caller) and claim.holder != caller.agent_id:
            holder = self._kernel.roster.label(claim.holder)
            raise Refused(f'section "{section}" of {name} is claimed by {holder}; only they or a person can release it')
        await self._store.append(self._store.draft("released", canvas, section=section))
        return f'section "{section}" of {name} is free'

    # -- checks -------------------------------------------------------------------------------------------------

    def _unclaimed(self, canvas: Canvas, section: str, caller: Caller) -> None:
        now = self._kernel.clock.now()
        claim = self._store.claim(canvas, section, stamp(now))
        if claim and claim.holder != address(caller):
            left = datetime.fromisoformat(claim.until) - now
            minutes = -(-left.total_seconds() // 60)
            holder = self._kernel.roster.label(claim.holder)
            raise Refused(
                f'section "{section}" of {canvas.name} is claimed by {holder} for {minutes:.0f} more '
                f"minute{'s' if minutes > 1 else ''}; write then, or another section, or ask {holder}",
                section=section, holder=holder, until=claim.until,
            )  # fmt: skip

    def _unseen(self, canvas: Canvas, document: Document, section: str) -> None:
        """Raise `Stale` when the section has a text, which the caller has not been shown as far as is known."""
        part = document.get(section)
        if part is None or not part.text.strip():
            return
        _, writer, _ = canvas.last.get(section, (0, "", ""))
        what = f'section "{section}" of {canvas.name} has a text that you were not shown'
        raise Stale(section, what, writer, 0, canvas.revision, "", part.text)

    def _fresh(self, canvas: Canvas, document: Document, section: str, base: int) -> None:
        """Raise `Stale` when the section was changed after the version that the write is based on."""
        part = document.get(section)
        current = part.text if part else ""
        last, writer, at = canvas.last.get(section, (0, "", ""))
        if last <= base and part is not None:
            return
        was = self._store.text_at(canvas, base, section)
        if last <= base and was is None:
            return
        old = Part(section, "", was or "").text
        by = f"by {writer} at {at} (version {last})" if part else "and does not exist any more"
        what = f'section "{section}" of {canvas.name} was changed since version {base}, {by}'
        raise Stale(section, what, writer, base, canvas.revision, old, current)

    def _revision(self, canvas: Canvas, n: int) -> Revision:
        for revision in self._store.history(canvas, newest=True):
            if revision.n == n:
                return revision
        raise NotFound(f"{canvas.name} has the versions 1 to {canvas.revision}, not {n}")

    def _result(
        self, canvas: Canvas, caller: Caller, section: str, op: str, made: Revision | None, *, known: bool = True
    ) -> Written:
        """Return what was done; the caller is taken to have seen the sections unless it did not know them whole."""
        touched = made.touched if made else ()
        for name in {section, *(touch.name for touch in touched)} - {""} if known else ():
            self._seen.note(address(caller), canvas.id, made.n if made else canvas.revision, name)
        names = section or ", ".join(touch.name for touch in touched)
        added, removed = sum(t.added for t in touched), sum(t.removed for t in touched)
        at, version = (made.at, made.n) if made else (self._writer.now(), canvas.revision)
        return Written(True, canvas.name, names, op, str(caller), added, removed, at, version)


def _named(section: str) -> str:
    name = clean(section)
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused(f"{section!r} cannot be a heading; use 1 to {LONGEST_NAME} characters of plain words")
    return name


def _sized(text: str) -> None:
    if len(text) > LONGEST:
        raise Refused(f"{len(text):,} characters are too many for a section (at most {LONGEST:,})")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n… ({len(text) - _SHOWN:,} more characters)"


def _ref(refs: Iterable[Ref], name: str) -> str | None:
    return next((ref.text for ref in refs if ref.name == name), None)


def _undone(
    document: Document, before: tuple[Ref, ...], after: tuple[Ref, ...], texts: Document, known: Judged
) -> Document:
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
    new = parse("".join(part.raw for part in kept), known)
    if [part.raw.rstrip() for part in new.sections] != [part.raw.rstrip() for part in kept[1:] if part.raw]:
        raise Refused("the old text does not fit into the file as it is now; write the sections instead")
    return new
