"""The live terminals of a kernel: opened, handed commands, closed; and what the last kernel left is put in order."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import trio

from aegis import AegisError, Caller, Kernel, NotFound, Refused
from aegis.clock import new_id
from aegis.events import Fault
from aegis.processes import MARK, sweep
from aegis.supervise import root_cause
from aegis_terminal.dialect import dialect
from aegis_terminal.door import Door
from aegis_terminal.job import Job
from aegis_terminal.lookout import Lookout
from aegis_terminal.mailing import Mailing, writer
from aegis_terminal.place import SOCKET, made, place_of
from aegis_terminal.progress import Progress
from aegis_terminal.rawlog import RawLog
from aegis_terminal.record import Known, Run, moment
from aegis_terminal.secrets import Secrets
from aegis_terminal.settings import TerminalSettings
from aegis_terminal.shelf import Shelf
from aegis_terminal.terminal import Terminal

_SOON = 1.0  # seconds in which a run may end and be told of as a whole
STOPPED = "aegis stopped"
_OURS = ("AEGIS_HANDLE", "LINES", "COLUMNS")
_PROMPT = 3.0  # seconds that opening waits for the first prompt; a slow rc goes on after that


class Desk:
    """Every terminal that has a shell."""

    name = "desk"

    def __init__(self, kernel: Kernel, settings: TerminalSettings) -> None:
        self._kernel = kernel
        self.shelf = Shelf(kernel)
        self.live: dict[str, Terminal] = {}
        self.secrets = Secrets(settings.redact, kernel.environment)
        self.place = place_of(kernel.project.root)
        self._mailing = Mailing(kernel, self.shelf)
        self._nursery: trio.Nursery | None = None
        self._open = trio.Event()
        self._opening = trio.Lock()  # of two who open the same name one is told that it is there
        kernel.verbs.complete_with("terminal", lambda: sorted(k.name for k in self.shelf.terminals.values()))

    def restore(self) -> None:
        """Rebuild what is known."""
        self.shelf.restore()

    async def run(self) -> None:
        """Have shells for as long as the kernel lives; none is left afterwards."""
        await self._dead_letter()
        try:
            async with trio.open_nursery() as self._nursery:
                await self._nursery.start(Door(self, made(self.place) / SOCKET).run)
                self._open.set()
                await trio.sleep_forever()
        finally:
            self._open, self._nursery = trio.Event(), None
            shutil.rmtree(self.place, ignore_errors=True)

    async def _dead_letter(self) -> None:
        """End what the last kernel left: its shells if it was killed, and its runs in the book."""
        left = [known for known in self.shelf.terminals.values() if known.open or not known.closed]
        await trio.to_thread.run_sync(sweep, {known.id for known in left})
        shutil.rmtree(self.place, ignore_errors=True)
        for known in left:
            runs = [msgspec.structs.replace(run, killed_by_restart=True) for run in known.open.values()]
            closed = [] if known.closed else [self.shelf.draft("closed", known.id, reason=STOPPED)]
            await self._mailing.store(known, runs, *closed)

    # -- opening and closing ----------------------------------------------------------------------------------------

    async def open(self, name: str, shell: str, cwd: Path, env: Mapping[str, str], caller: Caller) -> Known:
        """Return a terminal whose shell is there; one of the name that was closed goes on with its numbers."""
        await self._open.wait()
        async with self._opening:
            known = self.shelf.get(name)
            if known and (last := self.live.get(known.id)):
                if not last.ended.is_set():
                    raise Refused(f"the terminal {name!r} is there already; run commands in it, or close it first")
                await last.gone_for_good.wait()
            key = known.id if known else new_id()
            environment = {k: v for k, v in self._kernel.environment.items() if k not in _OURS}
            environment |= {"TERM": "xterm-256color", "AEGIS_TERM": "1", **env, MARK: key}
            place = self.place / key
            shutil.rmtree(place, ignore_errors=True)
            speech = dialect(shell, made(place), environment)
            secrets = self.secrets.beside(env)
            log = RawLog(self._log(name) / "raw.log", secrets, partial(self._fault, name))
            kept = {"begin": partial(self._begin, key, secrets), "keep": partial(self._keep, key, secrets)}
            terminal = Terminal(name, place, speech, secrets, log, **kept)
            at = moment(self._kernel.clock.now())
            what = {"name": name, "shell": speech.argv[0], "cwd": str(cwd), "started_at": at, "by": writer(caller)}
            await self.shelf.store(self.shelf.draft("spawned", key, **what))
            assert self._nursery
            await self._nursery.start(self._live, key, terminal, environment | speech.env, cwd)
        with trio.move_on_after(_PROMPT):
            await terminal.prompted.wait()
        return self.shelf.find(name)

    async def _live(
        self, key: str, terminal: Terminal, env: dict[str, str], cwd: Path, task_status: trio.TaskStatus[None]
    ) -> None:
        reason = STOPPED
        self.live[key] = terminal
        try:
            await terminal.live(env, cwd, task_status)
            reason = terminal.reason
        except Exception as error:  # one terminal's fault is not the others' end
            reason = f"its shell failed: {root_cause(error)}"
            if not terminal.pid:
                raise  # to who opens it
            self._fault(terminal.name, repr(root_cause(error)))
        finally:
            try:
                await self.shelf.store(self.shelf.draft("closed", key, reason=reason))
            except AegisError as error:
                self._fault(terminal.name, str(error))
            finally:
                self.live.pop(key, None)
                terminal.gone_for_good.set()
                shutil.rmtree(self.place / key, ignore_errors=True)

    async def close(self, name: str, *, purge: bool) -> None:
        """Have no shell and no child of it left; `purge` forgets its runs and its log as well."""
        await self._open.wait()
        async with self._opening:  # one that is being opened is there then
            known = self.shelf.find(name)
        if terminal := self.live.get(known.id):
            await terminal.close(known.id)
            await terminal.gone_for_good.wait()
        if purge:
            await self.shelf.store(self.shelf.draft("purged", known.id))
            shutil.rmtree(self._log(name), ignore_errors=True)

    def _fault(self, name: str, what: str) -> None:
        self._kernel.bus.report(Fault(f"terminal:{name}", what))

    def _log(self, name: str) -> Path:
        return self._kernel.project.state / "terminals" / name

    # -- commands ---------------------------------------------------------------------------------------------------

    async def terminal(self, name: str) -> Terminal:
        """Return the live terminal of this name; raises `NotFound`, or `Refused` when it is closed."""
        await self._open.wait()
        known = self.shelf.find(name)
        if found := self.live.get(known.id):
            return found
        raise Refused(f"the terminal {name!r} is closed: {known.closed}; `term spawn {name}` opens a new shell in it")

    async def perform(self, name: str, command: str, caller: Caller, limit: float) -> Run:
        """Return the record of a command that has run; a caller who leaves does not stop it once it has begun."""
        terminal = await self.terminal(name)
        self._mailing.check(self.shelf.find(name), caller)
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
        await self.shelf.store(self.shelf.run("began", key, job.run))
        job.started = trio.current_time()
        Lookout(self.live[key], job, lambda: self._known(key).subscribers, partial(self._tell, key, job))

    def _tell(self, key: str, job: Job, who: str, said: str) -> None:
        assert self._nursery
        self._nursery.start_soon(self._mail, key, job, who, said)

    async def _mail(self, key: str, job: Job, who: str, said: str) -> None:
        with trio.move_on_after(_SOON):
            await job.over.wait()
        if job.over.is_set() or who in job.told or not job.run:
            return  # how it ended is in the letter that tells of its end
        job.told.add(who)
        took = round(trio.current_time() - job.started, 3)
        run = msgspec.structs.replace(job.run, finished_at=None, stdout=said, stderr="", duration_s=took)
        try:
            await self._mailing.tell(self._known(key), who, run, job.caller)
        except AegisError as error:
            self._fault(f"{key}#{run.seq}", str(error))

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
        await self._mailing.store(self._known(key), [job.run], caller=job.caller, told=job.told)

    def _known(self, key: str) -> Known:
        if (known := self.shelf.terminals.get(key)) is None:
            raise NotFound("this terminal was purged")
        return known
