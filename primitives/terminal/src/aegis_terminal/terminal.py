"""A live terminal: one shell, the commands that wait for it, and its viewers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import trio

from aegis import AegisError, Refused, finish_despite_cancel
from aegis_terminal.display import Display
from aegis_terminal.job import Job
from aegis_terminal.marks import Mark, Marks
from aegis_terminal.pty import Pty, running
from aegis_terminal.raw_log import RawLog
from aegis_terminal.secrets import Secrets
from aegis_terminal.shell import PIPE, Shell
from aegis_terminal.values import CLOSED, NOT_TAKEN

_PIPE = 65_536  # bytes: what a pipe takes at once, everywhere
_DRAIN = 4 * 2**20  # bytes that are still read when the shell has ended
_PROMPT = 1.0  # seconds after a command's end in which the prompt comes, unless somebody took its mark away
_TYPE = 5.0  # seconds a program has to read what is typed
_AGAIN = 0.01  # seconds
_INTERRUPT = b"\x03"
_LOOKS = 3  # times that a prompt without its mark is looked for

Kept = Callable[[Job], Awaitable[None]]


class Terminal:
    """A shell that runs one command after the other; `begin` and `keep` store a run before and after it."""

    def __init__(
        self, name: str, folder: Path, shell: Shell, secrets: Secrets, log: RawLog, *, begin: Kept, keep: Kept
    ) -> None:
        self.name, self._shell, self._folder, self.secrets = name, shell, folder, secrets
        self._begin, self._keep = begin, keep
        self.display = Display(log, self._resized)
        self.jobs: deque[Job] = deque()
        self.current: Job | None = None  # the running command, also after its time limit
        self.typist = ""  # the agent whose keys were the last that were pressed here
        self.prompted = trio.Event()
        self.ended, self.removed = trio.Event(), trio.Event()
        self.code: int | None = None
        self._closed = False
        self.pid = 0
        self._pty: Pty | None = None
        self._pipe = -1
        self._key = token_hex(16)
        self._marks = Marks()
        self._ready = False  # at a prompt, and nobody has typed there
        self._typed = self._entered = False  # since the last prompt: any key, the Enter key
        self._held: list[bytes] = []
        self._change = trio.Event()
        self._reading = trio.CancelScope()

    # -- life -------------------------------------------------------------------------------------------------------

    async def live(self, env: dict[str, str], cwd: Path, task_status: trio.TaskStatus[None]) -> None:
        """Run the shell until it ends or is cancelled; no process of it is left then."""
        os.mkfifo(self._folder / PIPE, 0o600)
        self._pipe = os.open(self._folder / PIPE, os.O_RDWR | os.O_NONBLOCK)
        os.write(self._pipe, self._shell.packet(self._key))
        try:
            async with running(self._shell.argv, env, cwd, self.display.size) as self._pty:
                self.pid = self._pty.pid
                task_status.started()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._work)
                    self.code = await self._pty.process.wait()
                    self._reading.cancel()
                    self._drain()
                    await self._keep_last()
                    nursery.cancel_scope.cancel()
        finally:
            self._finish()

    def _drain(self) -> None:
        left = 0
        assert self._pty
        while left < _DRAIN and (data := self._pty.left()):
            self._take(data)
            left += len(data)

    async def _keep_last(self) -> None:
        """Store the end of a command that ended with its shell."""
        self.ended.set()
        if (job := self.current) is not None:
            job.end(trouble=CLOSED)
            await job.done.wait()

    async def close(self) -> None:
        """End the shell and everything in it; the record of its command is kept."""
        if self._pty and not self.ended.is_set():
            self._closed = True
            if self.current:  # before the hang-up, which would look like its own end
                self.current.end(trouble=CLOSED)
            await self._pty.stop()

    def _finish(self) -> None:
        self.ended.set()
        for job in [self.current, *self.jobs]:
            if job and not job.done.is_set():
                job.fail(self.gone())
        self.jobs.clear()
        self.prompted.set()
        self._changed()
        os.close(self._pipe)
        self.display.close()

    @property
    def reason(self) -> str:
        """Why it has ended."""
        return "it was closed" if self._closed or self.code is None else f"its shell ended with {self.code}"

    def gone(self) -> Refused:
        """Return the refusal for a caller of a closed terminal."""
        return Refused(f"the terminal {self.name!r} is closed: {self.reason}; `term spawn {self.name}` opens it again")

    # -- output -----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        assert self._pty
        with self._reading:
            while True:
                if data := await self._pty.read():
                    self._take(data)
                else:
                    await trio.sleep(_AGAIN)  # readable and empty: never happens, and must not spin

    def _take(self, data: bytes) -> None:
        job = self.current
        for part in self._marks.feed(data, {self._key, job.key} if job and job.typed else {self._key}):
            if isinstance(part, Mark):
                self._mark(part)
            elif self.current and self.current.typed and not self.current.begun and not self.current.over.is_set():
                self._held.append(part)  # the echo of our own line is not shown
            else:
                if self.current:
                    self.current.capture.feed(part)
                self.display.show(part)

    def _mark(self, mark: Mark) -> None:
        job = self.current
        mine = job is not None and job.typed and mark.key == job.key
        if mark.kind in "BC" and job and mine:
            if not job.begun:
                self._held = []
                self.display.show(b"\x1b[?2004l" + job.command.replace("\n", "\r\n").encode() + b"\r\n")
            job.begun, self._key = True, job.key
            job.capture.clear()
        elif mark.kind == "D" and job and mine and job.begun:
            job.end(mark.code)
            self.current = None
        elif mark.kind == "A":
            if job and job.typed and not job.begun:
                job.doubted.set()  # our line was lost, or this is the prompt before it, which came late
            self._prompt()
        self._changed()

    def _prompt(self) -> None:
        if self._held:
            self.display.show(b"".join(self._held))
            self._held = []
        self._ready, self._typed, self._entered = self.current is None, False, False
        self.prompted.set()

    @property
    def state(self) -> str:
        """`starting` before the first prompt, then `idle`, `busy`, `closed`."""
        if self.ended.is_set():
            return "closed"
        if not self.prompted.is_set():
            return "starting"
        at_rest = self._ready or (not self.current and self._pty and self._pty.edits_a_line)
        return "idle" if at_rest else "busy"

    def _changed(self) -> None:
        self._change.set()
        self._change = trio.Event()

    # -- input ------------------------------------------------------------------------------------------------------

    async def type(self, keys: bytes) -> None:
        """Press keys; raises `Refused` when the program there does not read them."""
        if self.ended.is_set() or self._pty is None:
            raise self.gone()
        self._ready, self._typed = False, True
        self._entered |= b"\r" in keys or b"\n" in keys
        taken = await self._pty.write(keys, _TYPE)
        if taken < len(keys):
            raise Refused(f"the program in {self.name} does not read: it took {taken} of {len(keys)} bytes")

    def _resized(self, rows: int, columns: int) -> None:
        if self._pty and not self.ended.is_set():
            self._pty.resize(rows, columns)

    async def put(self, job: Job) -> None:
        """Run the job after those before it; raises `Refused` when one of them does not end."""
        if (stuck := self.current) and stuck.done.is_set():
            with trio.move_on_after(_PROMPT):  # somebody may just have interrupted it
                await stuck.over.wait()
        if self._closed or self.ended.is_set():
            raise self.gone()
        if self.current and self.current.done.is_set():
            raise self._stuck(self.current)
        self.jobs.append(job)
        self._changed()

    def _stuck(self, job: Job) -> Refused:
        what = job.command.splitlines()[0][:80]
        return Refused(
            f"{self.name} is busy: {what!r} of {job.writer} has passed its time limit and goes on; "
            f"`term keys {self.name} ctrl-c` interrupts it, `term close {self.name}` ends the shell"
        )

    async def _work(self) -> None:
        while True:
            while not self.jobs:
                await self._change.wait()
            job = self.jobs.popleft()
            try:
                with trio.move_on_after(job.limit) as waiting:
                    await self._quiet()
                if waiting.cancelled_caught:
                    raise self._occupied()
                await self._perform(job)
            except AegisError as error:
                job.fail(error)

    def _occupied(self) -> Refused:
        if self.current:
            return self._stuck(self.current)
        if not self.prompted.is_set():
            return Refused(f"the shell of {self.name} has not shown a prompt yet; `term screen {self.name}` shows why")
        return Refused(
            f"{self.name} is busy with something that was typed there; `term screen {self.name}` shows it, "
            f"`term keys {self.name} ctrl-c` interrupts it"
        )

    async def _quiet(self) -> None:
        """Wait for a prompt without typed text; an unfinished line that somebody left there is discarded."""
        looks, waited, asked = 0, False, False
        while not self._ready:
            change, idle = self._change, self._waits_for_a_line()
            if idle and self._typed and not asked and self._pty:
                asked = True
                await self._pty.write(_INTERRUPT, _TYPE)
            elif idle and waited:
                return  # the mark was removed from the prompt; the next command puts it back
            looks += 1
            with trio.move_on_after(_PROMPT if looks <= _LOOKS else float("inf")) as pause:
                await change.wait()
            waited = pause.cancelled_caught

    def _waits_for_a_line(self) -> bool:
        if self._pty is None or self.current or not self.prompted.is_set():
            return False
        return self._pty.edits_a_line or (self._pty.at_its_own and not self._entered)

    async def _perform(self, job: Job) -> None:
        self.current = job  # set before it is stored: if the shell ends during that, this run ends, too
        assert self._pty
        self._emptied()
        self._ready, job.typed = False, True
        await self._pty.write(self._shell.line, _TYPE)  # the shell reads it, and waits for what it is to run
        try:
            await self._begin(job)
        except BaseException:
            self.current, self._held = None, []
            self._fill(self._shell.packet(self._key, ":"))  # which never was a run
            raise
        if not job.over.is_set():
            await self._have_run(job)
        async with finish_despite_cancel(grace=1):
            await self._keep(job)
        job.done.set()
        if self.current is job:
            for waiting in self.jobs:
                waiting.fail(self.gone() if self._closed else self._stuck(job))
            self.jobs.clear()

    async def _have_run(self, job: Job) -> None:
        self._fill(self._shell.packet(job.key, job.command))
        with trio.move_on_after(job.limit):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._doubt, job)
                await job.over.wait()
                nursery.cancel_scope.cancel()
        self._retract(job)

    async def _doubt(self, job: Job) -> None:
        """End a job that the shell does not take: a prompt came instead."""
        await job.doubted.wait()
        await trio.sleep(_PROMPT)
        if self._retract(job):
            job.end(trouble=NOT_TAKEN)

    def _retract(self, job: Job) -> bool:
        """Take the command back if the shell has not read it; return whether that was so."""
        if job.begun or self.current is not job or not self._emptied():
            return False
        job.trouble = NOT_TAKEN
        self.current, self._ready = None, job.doubted.is_set()
        return True

    def _emptied(self) -> bool:
        found = False
        with suppress(BlockingIOError):
            while os.read(self._pipe, _PIPE):
                found = True
        return found

    def _fill(self, packet: bytes) -> None:
        self._emptied()  # data that a shell left there is not for the next command
        os.write(self._pipe, packet)
