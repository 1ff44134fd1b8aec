"""The verbs that open, use and close terminals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from pydantic import Field

from aegis import Caller, Completes, Kernel, Refused, verb
from aegis_terminal.keys import pressed, sendable
from aegis_terminal.policy import Policy
from aegis_terminal.service import TerminalService
from aegis_terminal.settings import TerminalSettings
from aegis_terminal.values import Run, TerminalRecord

Name = Annotated[str, Completes("terminal"), Field(description="name of the terminal")]
LONGEST = 60_000  # bytes of a command: as much as goes through a pipe at once
_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?\Z")


class Row(msgspec.Struct, frozen=True):
    """A terminal: `state` is starting, idle, busy or closed; `closed` says why, and how it is opened again."""

    name: str
    state: str
    pid: int
    shell: str
    cwd: str
    started_at: str
    last_cmd_at: str | None
    last_exit: int | None
    runs: int
    closed: str = ""

    def __str__(self) -> str:
        how = f"closed: {self.closed}" if self.closed else f"pid {self.pid}, {self.state}"
        return f"{self.name}: {self.shell} in {self.cwd} ({how})"


class Done(msgspec.Struct, frozen=True):
    """What was asked is done."""

    ok: bool = True

    def __str__(self) -> str:
        return "done"


class ControlVerbs:
    """List, open, run, press keys, close."""

    name = "terminals"

    def __init__(self, kernel: Kernel, service: TerminalService, policy: Policy, settings: Mapping[str, Any]) -> None:
        self._kernel, self._service, self._policy, self._settings = kernel, service, policy, settings

    @property
    def _now(self) -> TerminalSettings:
        section: TerminalSettings = self._settings["plugins.terminal"]  # as it is now
        return section

    @verb("term list", tool="aegis_term_list", read_only=True)
    async def rows(self, caller: Caller) -> list[Row]:
        """List the terminals, closed ones, too; those that you may read."""
        known = sorted(self._service.store.terminals.values(), key=lambda k: k.name)
        return [self._row(k) for k in known if await self._service.may_see(caller, k)]

    @verb("term spawn", tool="aegis_term_spawn", positional=("name", "cwd"))
    async def spawn(
        self,
        caller: Caller,
        name: Annotated[str, Field(description="a name for it: a-z, 0-9, '-' and '_'")],
        cwd: Annotated[str, Field(description="folder in which the shell starts, relative to the project")] = "",
        shell: Annotated[str, Field(description="bash, zsh, fish or a POSIX shell; the usual one when not given")] = "",
        env: Annotated[dict[str, str] | None, Field(max_length=100, description="more environment variables")] = None,
    ) -> Row:
        """Open a terminal: a shell that people and agents share, and that keeps its folder and variables.

        A closed terminal of this name gets a new shell; its runs go on being numbered.
        """
        if not _NAME.match(name):
            raise Refused(f"{name!r} cannot be a terminal's name: up to 40 of a-z, 0-9, '-' and '_'")
        folder = self._kernel.project.root / cwd
        if not sendable(cwd) or not folder.is_dir():
            raise Refused(f"there is no folder {str(folder)!r}; a terminal starts in a folder that exists")
        folder = folder.resolve()
        if wrong := [k for k, v in (env or {}).items() if not k or "=" in k or not sendable(k + v)]:
            raise Refused(f"{wrong[0]!r} cannot be an environment variable")
        own = self._now.shell or self._kernel.environment.get("SHELL") or "/bin/bash"
        self._kernel.trust.require([shell or own])
        what = f"open the terminal {name} in {folder}" + (f" with {shell}" if shell else "")
        what += "".join(f" {k}={v}" for k, v in (env or {}).items())
        what = self._service.secrets.beside(env or {}).cut(what)
        known = self._service.store.get(name)
        if known:  # its former runs are read with it
            await self._service.check_sees(caller, name)
        plain = not shell and not env and (known is None or known.by_id == caller.agent_id)
        plain = plain and folder.is_relative_to(self._kernel.project.root.resolve())
        await self._policy.open(caller, what, plain=plain)
        return self._row(await self._service.open(name, shell or own, folder, env or {}, caller))

    @verb("term run", tool="aegis_term_run")
    async def execute(
        self,
        caller: Caller,
        name: Name,
        cmd: Annotated[str, Field(description="the command, one or many lines, as a person would type it")],
        timeout: Annotated[float | None, Field(gt=0, le=86_400, description="seconds to wait for its end")] = None,  # noqa: ASYNC109
    ) -> Run:
        """Run a command in a terminal and return its exit code and its output.

        Commands run one after the other, in the order in which they came. After a timeout the command goes on, and the
        terminal is busy until it ends; `term keys NAME ctrl-c` interrupts it.
        """
        if not cmd.strip() or not sendable(cmd) or len(cmd.encode()) > LONGEST:
            raise Refused(f"a command has 1 to {LONGEST:,} bytes and no NUL; put a longer one in a file and run that")
        await self._service.terminal(name)
        await self._policy.run(caller, name, cmd)
        return await self._service.perform(name, cmd, caller, timeout or self._now.timeout)

    @verb("term keys", tool="aegis_term_keys")
    async def keys(
        self,
        caller: Caller,
        name: Name,
        keys: Annotated[str, Field(description="names of keys (`ctrl-c`, `up up enter`), or text (`y enter`)")],
        raw: Annotated[bool, Field(description="send the keys as text, names of keys, too")] = False,
    ) -> Done:
        """Press keys in a terminal: `ctrl-c` interrupts what runs there, `y enter` answers a question."""
        terminal = await self._service.terminal(name)
        sent = keys if raw else pressed(keys)
        if not sendable(sent, nul=True):
            raise Refused(f"{keys!r} cannot be typed: it is not valid text")
        job = terminal.current
        own = self._opened(caller, name) or (job is not None and job.caller.agent_id == caller.agent_id)
        await self._policy.type(caller, name, sent, own=own)
        terminal.typist = caller.agent_id
        await terminal.type(sent.encode())
        return Done()

    @verb("term close", tool="aegis_term_close", destructive=True)
    async def close(
        self,
        caller: Caller,
        name: Name,
        purge: Annotated[bool, Field(description="remove its runs and its log, too")] = False,
    ) -> Done:
        """Close a terminal: its shell and everything that runs in it end; its runs can still be read."""
        own = self._opened(caller, name)
        await self._policy.open(caller, f"close the terminal {name}", plain=own and not purge)
        await self._service.close(name, purge=purge)
        return Done()

    @verb("term whose", for_={"program"})
    async def whose(
        self, caller: Caller, pids: Annotated[list[int], Field(description="a process and its ancestors")]
    ) -> str:
        """Return the id of the agent for which the terminal works that one of these processes is the shell of."""
        return self._service.worked_for(pids)

    def _opened(self, caller: Caller, name: str) -> bool:
        """Return whether the caller opened this terminal; raises `NotFound`."""
        return self._service.store.find(name).by_id == caller.agent_id

    def _row(self, known: TerminalRecord) -> Row:
        terminal = self._service.live.get(known.id)
        state, pid = (terminal.state, terminal.pid) if terminal else ("closed", 0)
        closed = "" if terminal else f"{known.closed}; `term spawn {known.name}` opens a new shell in it"
        return Row(
            known.name, state, pid, known.shell, known.cwd, known.started_at, known.last_cmd_at, known.last_exit,
            known.runs, closed,
        )  # fmt: skip
