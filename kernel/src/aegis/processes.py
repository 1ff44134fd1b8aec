"""An agent's CLI as a process: whole lines in batches, its last words when it dies, and nothing left behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import trio

from aegis.errors import LaunchError

MARK = "AEGIS_AGENT"  # in the environment of every CLI, and so of every shell it starts: how leftovers are found
MAX_LINE = 128 * 2**20
_STDERR_KEPT = 64 * 2**10
_CLOSE, _TERM, _STUCK = 0.3, 0.7, 30.0  # seconds: to leave by itself, to obey SIGTERM, to read its input


@dataclass(frozen=True, slots=True)
class Command:
    """What is run: arguments, the complete environment, working folder; a line longer than `max_line` is cut."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    max_line: int = field(default=MAX_LINE, kw_only=True)

    def __str__(self) -> str:
        return shlex.join(a if len(a) <= 60 else a[:57] + "..." for a in self.argv[:12])


class Process:
    """A running command that speaks lines."""

    def __init__(self, command: Command, process: trio.Process) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.command = command
        self.pid = process.pid
        self._process, self._stdin, self._stdout, self._stderr = process, process.stdin, process.stdout, process.stderr
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._words, self._silent = bytearray(), trio.Event()
        self._writing = trio.Lock()

    async def lines(self) -> list[bytes]:
        """Return the next whole lines; raise `LaunchError` with the CLI's last words once there are no more."""
        while True:
            try:
                chunk = await self._stdout.receive_some(262_144)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                chunk = b""
            if not chunk:
                if self._partial_size:
                    return [self._take(b"")]
                raise LaunchError(await self._epitaph())
            if b"\n" in chunk:
                first, *rest = chunk.split(b"\n")
                lines = [self._take(first), *rest[:-1]]
                self._keep(rest[-1])
                return lines
            self._keep(chunk)

    def _keep(self, part: bytes) -> None:
        if self._partial_size <= self.command.max_line:  # beyond it the line is lost anyway: only count
            self._partial.append(part)
        self._partial_size += len(part)

    def _take(self, end: bytes) -> bytes:
        self._keep(end)
        line = b"".join(self._partial)
        if self._partial_size > self.command.max_line:
            line = line[:1024] + b"... [line of %d bytes cut]" % self._partial_size
        self._partial, self._partial_size = [], 0
        return line

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the CLI; a cancelled caller never leaves half a line behind."""
        with trio.move_on_after(_STUCK, shield=True) as scope:
            try:
                async with self._writing:
                    await self._stdin.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise LaunchError(await self._epitaph()) from None
        if scope.cancelled_caught:
            raise LaunchError(f"{self.command} (pid {self.pid}) has not read its input for {_STUCK:.0f} s")

    async def drain(self) -> None:
        """Keep the last words said on stderr until it closes."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while chunk := await self._stderr.receive_some(65_536):
                self._words += chunk
                if len(self._words) > 2 * _STDERR_KEPT:
                    del self._words[:-_STDERR_KEPT]
        self._silent.set()

    def last_words(self, lines: int = 5) -> str:
        """Return the last lines of stderr."""
        return "\n".join(self._words.decode(errors="replace").strip().splitlines()[-lines:])

    async def _epitaph(self) -> str:
        with trio.move_on_after(0.5):
            await self._process.wait()
            await self._silent.wait()  # its last words may still be in the pipe
        code = self._process.returncode
        how = "closed its output" if code is None else f"exited with code {code}" if code >= 0 else _signalled(code)
        words = self.last_words()
        return f"{self.command} (pid {self.pid}) {how}" + (f"; it said: {words}" if words else "")

    async def stop(self) -> None:
        """End the CLI and every process it started, gently first; takes at most about a second."""
        family = _family(self.pid)
        await self._stdin.aclose()
        await self._gone(_CLOSE)
        if self._process.returncode is None:
            family |= _family(self.pid)
            self._process.terminate()
            await self._gone(_TERM)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        kill(family)
        if mark := self.command.env.get(MARK):
            await trio.to_thread.run_sync(sweep, {mark})
        await self._stdout.aclose()
        await self._stderr.aclose()

    async def _gone(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._process.wait()


def _signalled(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if -code in list(signal.Signals) else f"exited with {code}"


def _family(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return set()


def kill(processes: Iterable[psutil.Process]) -> int:
    """Kill those that still run and say how many; psutil refuses a pid that was given to another process since."""
    killed = 0
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
            killed += 1
    return killed


def sweep(marks: set[str]) -> int:
    """Kill every process whose environment carries one of these agents' marks; CLIs start shells in sessions of
    their own, which no process group reaches."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) in marks:
                found.append(process)
    return kill(found)


@asynccontextmanager
async def running(command: Command, nursery: trio.Nursery) -> AsyncIterator[Process]:
    """Run the command; leaving, by any exit, leaves no process and no open pipe."""
    try:
        process = await trio.lowlevel.open_process(
            command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=command.env,
            cwd=command.cwd,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError) and command.cwd.is_dir()
        why = "it is not installed, or not on PATH" if missing else str(error)
        raise LaunchError(f"cannot start {command.argv[0]!r}: {why}") from None
    child = Process(command, process)
    nursery.start_soon(child.drain)
    try:
        yield child
    finally:
        with trio.CancelScope(shield=True):
            await child.stop()
