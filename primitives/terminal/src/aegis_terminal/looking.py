"""The verbs by which one sees what happens in a terminal, now or later."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Command, Kernel, Refused, verb
from aegis_terminal.acting import Done, Name
from aegis_terminal.desk import Desk
from aegis_terminal.mailing import address
from aegis_terminal.place import SOCKET
from aegis_terminal.progress import Progress
from aegis_terminal.record import Interest, Run
from aegis_terminal.text import plain

_EXIT = re.compile(r"nonzero\Z|\d{1,3}\Z|\Z")
_LONGEST = 500  # characters of a pattern


class Subscribed(msgspec.Struct, frozen=True):
    """Who hears of a terminal's runs."""

    ok: bool
    subscribers: list[str]


class Shown(msgspec.Struct, frozen=True):
    """A screen as a person sees it; the cursor's place counts from 1."""

    text: str
    cursor_row: int
    cursor_column: int
    full_screen: bool

    def __str__(self) -> str:
        return self.text.rstrip("\n")

    @property
    def lines(self) -> list[str]:
        """Its rows from the top."""
        return self.text.split("\n")


class Sitting(Command):
    """The command by which a person sits down; a shell that stands in a terminal goes on as it."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"this needs a terminal of your own; there, type `{shlex.join(self.argv)}`"


class Looking:
    """Read, follow, look, be told, sit down at it."""

    name = "looking"

    def __init__(self, kernel: Kernel, desk: Desk) -> None:
        self._kernel, self._desk = kernel, desk

    @verb("term read", tool="aegis_term_read", read_only=True)
    async def read(
        self,
        caller: Caller,
        name: Name,
        last_n: Annotated[int, Field(ge=1, le=1000, description="how many, at most")] = 5,
        since_seq: Annotated[int | None, Field(ge=-1, description="only those with a higher number")] = None,
    ) -> list[Run]:
        """Return what was run in a terminal, how it ended and what it said, oldest first; also of a closed one.

        With `since_seq` the first of those that came later. Where there are several, of long outputs only the end.
        """
        known = self._desk.shelf.find(name)
        first = known.runs - last_n if since_seq is None else since_seq + 1
        return self._desk.shelf.runs(known, first, last_n)

    @verb("term tail", tool="aegis_term_tail", read_only=True)
    async def tail(
        self,
        caller: Caller,
        name: Name,
        lines: Annotated[int, Field(ge=1, le=1000, description="how many")] = 20,
        follow: Annotated[bool, Field(description="report what is said until the command that runs has ended")] = False,
    ) -> str:
        """Return the last lines a terminal said, whoever ran what; with `follow` go on until its command has ended."""
        terminal = await self._desk.terminal(name)
        if follow and (job := terminal.current):
            with Progress(terminal, trio.current_time):
                await job.over.wait()
        text = terminal.secrets.cut(plain(terminal.display.recent))
        return "\n".join(text.rstrip("\n").splitlines()[-lines:])

    @verb("term screen", tool="aegis_term_screen", read_only=True)
    async def screen(self, caller: Caller, name: Name) -> Shown:
        """Show a terminal's screen as a person would see it: for editors, pagers, and whatever asks a question."""
        terminal = await self._desk.terminal(name)
        look = await terminal.display.look()
        return Shown("\n".join(look.masked(terminal.secrets)), look.row + 1, look.column + 1, look.whole)

    @verb("term subscribe", tool="aegis_term_subscribe", for_={"agent", "person"})
    async def subscribe(
        self,
        caller: Caller,
        name: Name,
        pattern: Annotated[
            str, Field(description="only runs that said this in a line; `*`: anything", max_length=_LONGEST)
        ] = "",
        exit: Annotated[str, Field(description="only runs that ended so: a number, or nonzero")] = "",  # noqa: A002
    ) -> Subscribed:
        """Be told by mail of every run in a terminal that is not your own; it outlasts restarts and renames.

        With a pattern alone as soon as it is said, while the run goes on. A new subscription takes the former's place.
        """
        if not _EXIT.match(exit):
            raise Refused(f"exit {exit!r} is neither a number nor `nonzero`")
        known = self._desk.shelf.find(name)
        wish = msgspec.to_builtins(Interest(pattern, exit))
        await self._desk.shelf.store(self._desk.shelf.draft("subscribed", known.id, who=address(caller), **wish))
        return self._subscribers(name)

    @verb("term unsubscribe", tool="aegis_term_unsubscribe", for_={"agent", "person"})
    async def unsubscribe(self, caller: Caller, name: Name) -> Done:
        """Be told no more."""
        known = self._desk.shelf.find(name)
        await self._desk.shelf.store(self._desk.shelf.draft("unsubscribed", known.id, who=address(caller)))
        return Done()

    @verb("term attach", for_={"person"}, read_only=True)
    async def attach(self, caller: Caller, name: Name) -> Command:
        """Sit down at a terminal yourself, from a shell of your own; Ctrl-] leaves it again, and it goes on."""
        await self._desk.terminal(name)
        argv = [sys.executable, "-m", "aegis_terminal.attach", "--socket", str(self._desk.place / SOCKET), name]
        return Sitting(argv, {}, self._kernel.project.root)

    def _subscribers(self, name: str) -> Subscribed:
        known = self._desk.shelf.find(name)
        return Subscribed(True, sorted(self._kernel.roster.label(who) for who in known.subscribers))
