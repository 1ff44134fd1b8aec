"""The verbs that show what happens in a terminal, or tell of it by mail."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Annotated

import msgspec
import trio
from pydantic import Field

from aegis import Caller, Command, Kernel, Refused, verb
from aegis_terminal.control_verbs import Done, Name
from aegis_terminal.notifier import address
from aegis_terminal.plain_text import plain
from aegis_terminal.progress import Progress
from aegis_terminal.service import TerminalService
from aegis_terminal.socket_path import SOCKET
from aegis_terminal.values import Interest, Run

_EXIT = re.compile(r"nonzero\Z|\d{1,3}\Z|\Z")
_LONGEST = 500  # characters of a pattern
_DRAWING = 2.0  # seconds of computing that making text of the last output may take


class Subscribed(msgspec.Struct, frozen=True):
    """Who gets mail about a terminal's runs."""

    ok: bool
    subscribers: list[str]


class Shown(msgspec.Struct, frozen=True):
    """A screen as a person sees it; the cursor's row and column count from 1."""

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


class AttachCommand(Command):
    """The command that attaches a person's terminal; a shell in a terminal is replaced by it."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"this needs a terminal of your own; type there: `{shlex.join(self.argv)}`"


class ViewVerbs:
    """Read, tail, screen, subscribe, attach."""

    name = "views"

    def __init__(self, kernel: Kernel, service: TerminalService) -> None:
        self._kernel, self._service = kernel, service

    @verb("term read", tool="aegis_term_read", read_only=True)
    async def read(
        self,
        caller: Caller,
        name: Name,
        last_n: Annotated[int, Field(ge=1, le=1000, description="how many runs at most")] = 5,
        since_seq: Annotated[int | None, Field(ge=-1, description="only runs with a higher number")] = None,
    ) -> list[Run]:
        """Return the last runs in a terminal: command, exit code and output, oldest first.

        The terminal may be closed. When there are several runs, long outputs are shortened to their end.
        """
        known = self._service.store.find(name)
        first = known.runs - last_n if since_seq is None else since_seq + 1
        runs = self._service.store.runs(known, first, last_n)
        if await self._service.may_see(caller, known):
            return runs
        me = f"agent:{self._kernel.roster.label(caller.agent_id)}"
        if not (mine := [run for run in runs if run.writer in (me, str(caller))]):
            raise Refused(self._service.unseen(known))
        return mine

    @verb("term tail", tool="aegis_term_tail", read_only=True)
    async def tail(
        self,
        caller: Caller,
        name: Name,
        lines: Annotated[int, Field(ge=1, le=1000, description="how many lines")] = 20,
        follow: Annotated[bool, Field(description="show new lines until the running command has ended")] = False,
    ) -> str:
        """Return the last lines of a terminal's output."""
        await self._service.check_sees(caller, name)
        terminal = await self._service.terminal(name)
        if follow and (job := terminal.current):
            with Progress(terminal, trio.current_time):
                await job.over.wait()
        recent = terminal.display.recent
        text = await trio.to_thread.run_sync(lambda: terminal.secrets.cut(plain(recent, _DRAWING)))
        return "\n".join(text.rstrip("\n").splitlines()[-lines:])

    @verb("term screen", tool="aegis_term_screen", read_only=True)
    async def screen(self, caller: Caller, name: Name) -> Shown:
        """Show a terminal's screen as a person would see it: for editors, pagers and questions."""
        await self._service.check_sees(caller, name)
        terminal = await self._service.terminal(name)
        look = await terminal.display.look()
        return Shown("\n".join(look.masked(terminal.secrets)), look.row + 1, look.column + 1, look.whole)

    @verb("term subscribe", tool="aegis_term_subscribe", for_={"agent", "person"})
    async def subscribe(
        self,
        caller: Caller,
        name: Name,
        pattern: Annotated[
            str, Field(description="only runs with this in a line of output; `*` matches anything", max_length=_LONGEST)
        ] = "",
        exit: Annotated[str, Field(description="only runs with this exit code: a number, or `nonzero`")] = "",  # noqa: A002
    ) -> Subscribed:
        """Get mail about every run in a terminal that is not your own.

        With a pattern alone the mail comes as soon as a line matches, while the run goes on. A subscription outlasts
        restarts and renames; a new one to the same terminal replaces it.
        """
        if not _EXIT.match(exit):
            raise Refused(f"exit {exit!r} is neither a number nor `nonzero`")
        known = await self._service.check_sees(caller, name)
        wish = msgspec.to_builtins(Interest(pattern, exit))
        await self._service.store.append(self._service.store.draft("subscribed", known.id, who=address(caller), **wish))
        return self._subscribers(name)

    @verb("term unsubscribe", tool="aegis_term_unsubscribe", for_={"agent", "person"})
    async def unsubscribe(self, caller: Caller, name: Name) -> Done:
        """Stop the mail about a terminal's runs."""
        known = self._service.store.find(name)
        await self._service.store.append(self._service.store.draft("unsubscribed", known.id, who=address(caller)))
        return Done()

    @verb("term attach", for_={"person"}, read_only=True)
    async def attach(self, caller: Caller, name: Name) -> Command:
        """Attach your own terminal to a shared one; Ctrl-] detaches it, and the shell goes on."""
        await self._service.terminal(name)
        argv = [sys.executable, "-Pm", "aegis_terminal.attach", "--socket", str(self._service.folder / SOCKET), name]
        return AttachCommand(argv, {}, self._kernel.project.root)

    def _subscribers(self, name: str) -> Subscribed:
        known = self._service.store.find(name)
        return Subscribed(True, sorted(self._kernel.roster.label(who) for who in known.subscribers))
