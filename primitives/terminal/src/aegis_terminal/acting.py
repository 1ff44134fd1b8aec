"""The verbs by which something happens in a terminal."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from pydantic import Field

from aegis import Caller, Completes, Kernel, Refused, verb
from aegis_terminal.desk import Desk
from aegis_terminal.keys import pressed, sendable
from aegis_terminal.policy import Gate
from aegis_terminal.record import Known, Run
from aegis_terminal.settings import TerminalSettings

Name = Annotated[str, Completes("terminal"), Field(description="which terminal")]
LONGEST = 60_000  # bytes of a command: what goes through a pipe at once
_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?\Z")


class Row(msgspec.Struct, frozen=True):
    """A terminal: `state` is starting, idle, busy or closed."""

    name: str
    state: str
    pid: int
    shell: str
    cwd: str
    started_at: str
    last_cmd_at: str | None
    last_exit: int | None
    runs: int

    def __str__(self) -> str:
        return f"{self.name}: {self.shell} in {self.cwd} (pid {self.pid}, {self.state})"


class Done(msgspec.Struct, frozen=True):
    """It is done."""

    ok: bool = True

    def __str__(self) -> str:
        return "done"


class Acting:
    """Open, run, press keys, close."""

    name = "terminals"

    def __init__(self, kernel: Kernel, desk: Desk, gate: Gate, settings: TerminalSettings) -> None:
        self._kernel, self._desk, self._gate, self._settings = kernel, desk, gate, settings

    @verb("term list", tool="aegis_term_list", read_only=True)
    async def rows(self, caller: Caller) -> list[Row]:
        """List the terminals, those that are closed as well."""
        known = sorted(self._desk.shelf.terminals.values(), key=lambda k: k.name)
        return [self._row(k) for k in known]

    @verb("term spawn", tool="aegis_term_spawn", positional=("name", "cwd"))
    async def spawn(
        self,
        caller: Caller,
        name: str,
        cwd: Annotated[str, Field(description="where it begins, relative to the project")] = "",
        shell: Annotated[str, Field(description="bash, zsh, fish or a POSIX shell")] = "",
        env: Annotated[dict[str, str] | None, Field(description="variables in addition")] = None,
    ) -> Row:
        """Open a terminal: a shell that everybody here can share, with its folder and variables kept between commands.

        The name of one that was closed may be used again: its runs go on counting.
        """
        if not _NAME.match(name):
            raise Refused(f"{name!r} is no name for a terminal: up to 40 of a-z, 0-9, '-' and '_'")
        folder = self._kernel.project.root / cwd
        if not sendable(cwd) or not folder.is_dir():
            raise Refused(f"there is no folder {str(folder)!r}; a terminal begins in one that exists")
        folder = folder.resolve()
        if wrong := [k for k, v in (env or {}).items() if not k or "=" in k or not sendable(k + v)]:
            raise Refused(f"{wrong[0]!r} cannot be a variable")
        own = self._settings.shell or self._kernel.environment.get("SHELL") or "/bin/bash"
        what = f"open the terminal {name} in {folder}" + (f" with {shell}" if shell else "")
        what += "".join(f" {k}={v}" for k, v in (env or {}).items())
        what = self._desk.secrets.beside(env or {}).cut(what)
        await self._gate.open(caller, what, plain=not shell and not env)
        return self._row(await self._desk.open(name, shell or own, folder, env or {}, caller))

    @verb("term run", tool="aegis_term_run")
    async def execute(
        self,
        caller: Caller,
        name: Name,
        cmd: Annotated[str, Field(description="one or many lines, as a person would type them")],
        timeout: Annotated[float | None, Field(gt=0, le=86_400, description="seconds from its beginning")] = None,  # noqa: ASYNC109
    ) -> Run:
        """Run a command in a terminal and return how it ended and what it said.

        One at a time: yours waits for those before it. After a time-out the command goes on, and the terminal is busy
        until it ends; `term keys NAME ctrl-c` interrupts it.
        """
        if not cmd.strip() or not sendable(cmd) or len(cmd.encode()) > LONGEST:
            raise Refused(f"a command has 1 to {LONGEST:,} bytes and no NUL; put a longer one into a file and run that")
        await self._desk.terminal(name)
        await self._gate.run(caller, name, cmd)
        return await self._desk.perform(name, cmd, caller, timeout or self._settings.timeout)

    @verb("term keys", tool="aegis_term_keys")
    async def keys(
        self,
        caller: Caller,
        name: Name,
        keys: Annotated[str, Field(description="names of keys (`ctrl-c`, `up`), or text; `enter` at its end: the key")],
        raw: Annotated[bool, Field(description="all of it is text")] = False,
    ) -> Done:
        """Press keys in a terminal, whatever runs there; `ctrl-c` interrupts it, `y enter` answers it."""
        terminal = await self._desk.terminal(name)
        sent = keys if raw else pressed(keys)
        if not sendable(sent, nul=True):
            raise Refused(f"{keys!r} cannot be typed: it is no text")
        await self._gate.type(caller, name, sent)
        await terminal.type(sent.encode())
        return Done()

    @verb("term close", tool="aegis_term_close", destructive=True)
    async def close(
        self,
        caller: Caller,
        name: Name,
        purge: Annotated[bool, Field(description="forget its runs and its log, too")] = False,
    ) -> Done:
        """End a terminal's shell and everything that runs in it; what ran there can still be read."""
        self._desk.shelf.find(name)
        await self._gate.open(caller, f"close the terminal {name}", plain=not purge)
        await self._desk.close(name, purge=purge)
        return Done()

    def _row(self, known: Known) -> Row:
        terminal = self._desk.live.get(known.id)
        state, pid = (terminal.state, terminal.pid) if terminal else ("closed", 0)
        return Row(
            known.name, state, pid, known.shell, known.cwd, known.started_at, known.last_cmd_at, known.last_exit,
            known.runs,
        )  # fmt: skip
