"""What runs as long as the kernel: the live terminals, and the records of those that a former kernel left open."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from aegis import AegisError, Caller, Kernel, NotFound, Refused, finish_despite_cancel
from aegis.clock import new_id
from aegis.events import Fault
from aegis.registry import owner
from aegis.supervise import root_cause
from aegis_permission.acts import blind, sees
from aegis_private.peers import listening
from aegis_processes.ancestry import origins
from aegis_processes.processes import MARK
from aegis_terminal.attach_server import AttachServer
from aegis_terminal.job import Job
from aegis_terminal.notifier import Notifier, writer
from aegis_terminal.pattern_watch import PatternWatch
from aegis_terminal.progress import Progress
from aegis_terminal.raw_log import RawLog
from aegis_terminal.secrets import Secrets
from aegis_terminal.shell import prepared_shell
from aegis_terminal.socket_path import SOCKET, socket_folder
from aegis_terminal.store import Store
from aegis_terminal.terminal import Terminal
from aegis_terminal.values import CLOSED, Run, TerminalRecord, moment

_SOON = 1.0  # seconds that a matching line waits for the end of its run, so that one letter tells of both
STOPPED = "aegis ended its shell"
_NOT_INHERITED = ("AEGIS_HANDLE", "LINES", "COLUMNS")
_PROMPT = 3.0  # seconds that opening waits for the first prompt; a slow rc goes on after that


class TerminalService:
    """Opens, uses and closes terminals, and keeps their records."""

    name = "service"

    def __init__(self, kernel: Kernel, settings: Mapping[str, Any]) -> None:
        self._kernel = kernel
        self.store = Store(kernel)
        self.live: dict[str, Terminal] = {}
        handed_out = kernel.redactor.values
        self.secrets = Secrets(lambda: settings["plugins.terminal"].redact, kernel.environment, lambda: handed_out)
        self._why_not = ""  # there are no terminals
        self._notifier = Notifier(kernel, self.store)
        self._nursery: trio.Nursery | None = None
        self._open = trio.Event()
        self._opening = trio.Lock()  # so that two callers cannot open the same name
        kernel.verbs.complete_with("terminal", lambda: sorted(k.name for k in self.store.terminals.values()))

    def restore(self) -> None:
        """Rebuild the records of terminals."""
        self.store.restore()

    async def run(self) -> None:
        """Serve terminals until cancelled; no shell is left then."""
        await self._end_leftovers()
        try:
            self.folder = socket_folder(self._kernel.project)
            self.folder.mkdir(0o700)
            listener = listening(self.folder / SOCKET)
        except (OSError, AegisError) as error:
            self._why_not = f"there are no terminals here: {error}"
            self.fault("terminals", self._why_not)
            self._open.set()
            await trio.sleep_forever()
        try:
            async with trio.open_nursery() as self._nursery:
                await self._nursery.start(AttachServer(self, listener).run)
                self._open.set()
                await trio.sleep_forever()
        finally:
            self._open, self._nursery = trio.Event(), None
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._kernel.supervisor.is_leaving(owner.get()):
                self._open.set()  # nobody waits for terminals that will not come
                async with finish_despite_cancel():
                    await self._end_runs()

    async def _end_runs(self) -> None:
        """Record the end of the runs whose shells were ended because the plugin leaves."""
        now = moment(self._kernel.clock.now())
        for known in self.store.terminals.values():
            if known.open:
                runs = [msgspec.structs.replace(run, finished_at=now, stderr=CLOSED) for run in known.open.values()]
                await self._notifier.append(known, runs)

    async def _end_leftovers(self) -> None:
        """End the shells that a killed kernel left, and record the end of its runs."""
        left = [known for known in self.store.terminals.values() if known.open or not known.closed]
        await self._kernel.roster.leftovers.end({known.id for known in left})
        for known in left:
            runs = [msgspec.structs.replace(run, killed_by_restart=True) for run in known.open.values()]
            closed = [] if known.closed else [self.store.draft("closed", known.id, reason=STOPPED)]
            await self._notifier.append(known, runs, *closed)

    # -- opening and closing ----------------------------------------------------------------------------------------

    async def open(self, name: str, shell: str, cwd: Path, env: Mapping[str, str], caller: Caller) -> TerminalRecord:
        """Open a terminal and return its record; a closed one of this name is opened again and its numbers go on."""
        await self._opened()
        async with self._opening:
            known = self.store.get(name)
            if known and (last := self.live.get(known.id)):
                if not last.ended.is_set():
                    raise Refused(f"the terminal {name!r} is open already; run commands in it, or close it first")
                await last.removed.wait()
            key = known.id if known else new_id()
            environment = {k: v for k, v in (await self._inherited()).items() if k not in _NOT_INHERITED}
            environment |= {"TERM": "xterm-256color", "AEGIS_TERM": "1", **env, MARK: key}
            folder = self.folder / key
            shutil.rmtree(folder, ignore_errors=True)
            try:
                folder.mkdir(0o700)
            except FileNotFoundError:
                raise AegisError(
                    f"{self.folder} is gone (a log-out empties $XDG_RUNTIME_DIR); start aegis anew"
                ) from None
            prepared = prepared_shell(shell, folder, environment)
            secrets = self.secrets.beside(env)
            self._kernel.project.private("terminals", name)  # before its log is opened there
            log = RawLog(self._log(name) / "raw.log", secrets, partial(self.fault, name))
            kept = {"begin": partial(self._begin, key, secrets), "keep": partial(self._keep, key, secrets)}
            terminal = Terminal(name, folder, prepared, secrets, log, **kept)
            at = moment(self._kernel.clock.now())
            what = {"name": name, "shell": prepared.argv[0], "cwd": str(cwd), "started_at": at, "by": writer(caller)}
            what |= {"by_id": caller.agent_id} if caller.agent_id else {}
            await self.store.append(self.store.draft("spawned", key, **what))
            await (await self._opened()).start(self._live, key, terminal, environment | prepared.env, cwd)
        with trio.move_on_after(_PROMPT):
            await terminal.prompted.wait()
        return self.store.find(name)

    async def _inherited(self) -> dict[str, str]:
        """Return the variables that every CLI gets, too."""
        ours = self._kernel.environment
        try:
            passed = await self._kernel.client(Caller("terminal", self.name)).call("environment list")
        except NotFound:  # nobody here decides
            return ours.bare()
        return {name: ours[name] for name in passed["every"]}

    async def _live(
        self, key: str, terminal: Terminal, env: dict[str, str], cwd: Path, task_status: trio.TaskStatus[None]
    ) -> None:
        reason = STOPPED
        self.live[key] = terminal
        try:
            await terminal.live(env, cwd, task_status)
            reason = terminal.reason
        except Exception as error:  # a fault of one terminal must not end the others
            reason = f"its shell failed: {root_cause(error)}"
            if not terminal.pid:
                raise  # to the caller that opens it
            self.fault(terminal.name, repr(root_cause(error)))
        finally:
            try:
                await self.store.append(self.store.draft("closed", key, reason=reason))
            except AegisError as error:
                self.fault(terminal.name, str(error))
            finally:
                self.live.pop(key, None)
                terminal.removed.set()
                shutil.rmtree(self.folder / key, ignore_errors=True)

    async def close(self, name: str, *, purge: bool) -> None:
        """End the shell and all its children; `purge` removes its runs and its log, too."""
        await self._opened()
        async with self._opening:  # one that is being opened is open then
            known = self.store.find(name)
        if terminal := self.live.get(known.id):
            await terminal.close()
            await terminal.removed.wait()
        if purge:
            await self.store.append(self.store.draft("purged", known.id))
            shutil.rmtree(self._log(name), ignore_errors=True)

    async def _opened(self) -> trio.Nursery:
        """Return the nursery of the shells once there is one; raises `Refused` when there will be none."""
        await self._open.wait()
        if self._nursery is None:
            raise Refused(self._why_not or "aegis-terminal was stopped, and its terminals with it")
        return self._nursery

    def fault(self, name: str, what: str) -> None:
        """Tell the people that something of this terminal failed."""
        self._kernel.bus.report(Fault(f"terminal:{name}", what))

    def _log(self, name: str) -> Path:
        return self._kernel.project.state / "terminals" / name

    # -- commands ---------------------------------------------------------------------------------------------------

    async def terminal(self, name: str) -> Terminal:
        """Return the live terminal of this name; raises `NotFound`, or `Refused` when it is closed."""
        await self._opened()
        known = self.store.find(name)
        if found := self.live.get(known.id):
            return found
        raise Refused(f"the terminal {name!r} is closed: {known.closed}; `term spawn {name}` opens a new shell in it")

    async def may_see(self, caller: Caller, known: TerminalRecord) -> bool:
        """Return whether the caller may read what happens in this terminal."""
        return not caller.agent_id or await sees(self._kernel, caller, [known.by_id])

    async def check_sees(self, caller: Caller, name: str) -> TerminalRecord:
        """Return the terminal's record; raises `NotFound`, or `Refused` when the caller may not read it."""
        known = self.store.find(name)
        if not await self.may_see(caller, known):
            raise Refused(self.unseen(known))
        return known

    def unseen(self, known: TerminalRecord) -> str:
        """Return what one is told that may not read it."""
        return blind(f"the terminal {known.name}, which {known.by} opened,")

    def worked_for(self, pids: Collection[int]) -> str:
        """Return the id of the agent for which the terminal works whose shell is one of these; empty for a person."""
        for terminal in self.live.values():
            if terminal.pid in pids:
                return terminal.current.caller.agent_id if terminal.current else terminal.typist
        return ""

    async def agent_at(self, pid: int) -> str:
        """Return the id of the agent that this process descends from; raises `Gone` when it has ended."""
        family = await trio.to_thread.run_sync(origins, pid)
        marked = next((mark for _, mark in family if mark and self._kernel.roster.born(mark)), "")
        return marked or self.worked_for([number for number, _ in family])

    async def perform(self, name: str, command: str, caller: Caller, limit: float) -> Run:
        """Run a command and return its record; once it has begun, it goes on even if the call is cancelled."""
        terminal = await self.terminal(name)
        self._notifier.check(self.store.find(name), caller)
        job = Job(caller, writer(caller), command, limit)
        await terminal.put(job)
        with Progress(terminal, trio.current_time, lambda: job.begun and terminal.current is job):
            try:
                await job.done.wait()
            finally:
                if job in terminal.jobs:
                    terminal.jobs.remove(job)
        return job.answer()

    async def _begin(self, key: str, secrets: Secrets, job: Job) -> None:
        now = moment(self._kernel.clock.now())
        job.run = Run(self._known(key).runs, secrets.cut(job.command), job.writer, now)
        await self.store.append(self.store.run("began", key, job.run))
        job.started = trio.current_time()
        PatternWatch(self.live[key], job, lambda: self._known(key).subscribers, partial(self._tell, key, job))

    def _tell(self, key: str, job: Job, who: str, said: str) -> None:
        assert self._nursery
        self._nursery.start_soon(self._mail, key, job, who, said)

    async def _mail(self, key: str, job: Job, who: str, said: str) -> None:
        with trio.move_on_after(_SOON):
            await job.over.wait()
        if job.over.is_set() or who in job.told or not job.run:
            return  # the letter about its end tells of it
        job.told.add(who)
        took = round(trio.current_time() - job.started, 3)
        run = msgspec.structs.replace(job.run, finished_at=None, stdout=said, stderr="", duration_s=took)
        try:
            await self._notifier.tell(self._known(key), who, run, job.caller)
        except AegisError as error:
            self.fault(f"{key}#{run.seq}", str(error))

    async def _keep(self, key: str, secrets: Secrets, job: Job) -> None:
        assert job.run
        took = trio.current_time() - job.started
        text = ""
        if job.begun:
            said = job.capture
            text = said.text(secrets) if said.short else await trio.to_thread.run_sync(said.text, secrets)
        job.run = msgspec.structs.replace(
            job.run, finished_at=moment(self._kernel.clock.now()), duration_s=round(took, 3), exit=job.code,
            stdout=text, stderr=job.trouble, timed_out=not job.over.is_set() and not job.trouble,
        )  # fmt: skip
        await self._notifier.append(self._known(key), [job.run], caller=job.caller, told=job.told)

    def _known(self, key: str) -> TerminalRecord:
        if (known := self.store.terminals.get(key)) is None:
            raise NotFound("this terminal was purged")
        return known
