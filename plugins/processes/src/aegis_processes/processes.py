"""An agent's CLI as a process: whole lines in batches, its last words when it dies, and nothing left behind."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from aegis_processes.cancellation import send_whole
from aegis_processes.child import Child, start
from aegis_processes.leftovers import FOR, MARK, sweep
from aegis_processes.pipes import received

MAX_LINE = 128 * 2**20
_CHUNK = 32_768  # bytes read at a time: with larger ones a talkative CLI makes everyone else wait longer
_STDERR_KEPT = 64 * 2**10
_CLOSE, _TERM, _STUCK = 0.3, 0.7, 30.0  # seconds: to leave, to obey SIGTERM, to read
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


_WORDS, _LONG = 11, 60  # of a command that is shown: so many words, of so many characters


__all__ = ["FOR", "MARK", "Command", "Process", "ProcessError", "running", "sweep"]


class ProcessError(Exception):
    """A command could not be started, or has ended; the text says which, how, and its last words."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run: arguments, the complete environment, working folder; a line longer than `max_line` is cut."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    max_line: int = field(default=MAX_LINE, kw_only=True)

    def __str__(self) -> str:
        program, *words = self.argv or [""]
        some = words[:_WORDS] if len(words) > _WORDS else words
        if len(some) < len(words) and some[-1].startswith("-") and not words[_WORDS].startswith("-"):
            some = some[:-1]  # an option goes with its value
        more = [f"… ({len(words) - len(some)} words more)"] if len(some) < len(words) else []
        return " ".join([shlex.quote(program), *map(_shown, some), *more])


def _shown(word: str) -> str:
    """Return a word of a command line; of a long one what it is for, and never a part of what it says."""
    if len(word) <= _LONG:
        return shlex.quote(word)
    name, equals, _ = word.partition("=")
    return f"{name}=…" if equals and name.startswith("-") and len(name) < _LONG else "…"


class Process:
    """A running command that speaks lines."""

    def __init__(self, command: Command, process: Child, error: type[Exception]) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.command, self.pid, self._process, self._error = command, process.pid, process, error
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._partial: list[bytes] = []
        self._size = 0
        self._words, self._silent = bytearray(), trio.Event()
        self._writing = trio.Lock()

    async def lines(self) -> list[bytes]:
        """Return the next whole lines; raise the error with the CLI's last words once there are no more."""
        while True:
            chunk = await received(self._stdout, _CHUNK)
            if not chunk and not self._size:
                raise self._error(await self._exit_message())
            first, *rest = chunk.split(b"\n")
            self._keep(first)
            if rest or not chunk:  # a line is whole, or the last one never will be
                line = b"".join(self._partial)
                if self._size > self.command.max_line:
                    line = line[:1024] + b"... [line of %d bytes cut]" % self._size
                self._partial, self._size = [], 0
                self._keep(rest.pop() if rest else b"")
                return [line, *rest]

    def _keep(self, part: bytes) -> None:
        if self._size <= self.command.max_line:  # beyond it the line is lost anyway: only count
            self._partial.append(part)
        self._size += len(part)

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the CLI; a cancelled caller never leaves half a line behind that another follows.

        What the pipe takes is in it at once, before anybody else has a turn on the loop.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            async with self._one_at_a_time():
                rest = data[_written(self._stdin, data) :]
                if not rest or await send_whole(self._stdin, rest, _STUCK):
                    return
        except _GONE:
            raise self._error(await self._exit_message()) from None
        raise self._error(f"{self.command} (pid {self.pid}) has not read its input for {_STUCK:.0f} s")

    @asynccontextmanager
    async def _one_at_a_time(self) -> AsyncIterator[None]:
        try:
            self._writing.acquire_nowait()  # `acquire` lets others have their turn first
        except trio.WouldBlock:
            await self._writing.acquire()
        try:
            yield
        finally:
            self._writing.release()

    async def drain(self) -> None:
        """Keep the last words said on stderr until it closes."""
        while chunk := await received(self._stderr, 65_536):
            self._words += chunk
            if len(self._words) > 2 * _STDERR_KEPT:
                del self._words[:-_STDERR_KEPT]
        self._silent.set()

    async def _exit_message(self) -> str:
        with trio.move_on_after(0.5):
            await self._process.wait()
            await self._silent.wait()  # its last words may still be in the pipe
        code = self._process.returncode
        how = "closed its output" if code is None else f"exited with code {code}"
        if code is not None and -code in set(signal.Signals):
            how = f"was ended by {signal.Signals(-code).name}"
        words = "\n".join(self._words.decode(errors="replace").strip().splitlines()[-5:])
        return f"{self.command} (pid {self.pid}) {how}" + (f"; it said: {words}" if words else "")

    async def _gone(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            await self._process.wait()
        return self._process.returncode is not None

    async def stop(self) -> None:
        """End the CLI and every process it started, gently first; takes at most about a second."""
        await self._process.family.look()
        self._stdin.close()
        if not await self._gone(_CLOSE):
            self._process.signal(signal.SIGTERM)
            await self._gone(_TERM)
        await self._process.end()


def _written(stream: trio.abc.SendStream, data: bytes) -> int:
    """Return how many bytes of the data the pipe took without waiting."""
    assert isinstance(stream, trio.lowlevel.FdStream)
    try:
        return os.write(stream.fileno(), data)
    except OSError:  # it is full, or gone: who sends the rest learns which
        return 0


@asynccontextmanager
async def running(
    command: Command, nursery: trio.Nursery, error: type[Exception] = ProcessError
) -> AsyncIterator[Process]:
    """Run the command; leaving, by any exit, leaves no process and no open pipe. `error` is what it raises."""
    try:
        process = await start(command.argv, command.env, command.cwd)
    except (OSError, ValueError) as cause:
        why = "it is not installed, or not on PATH" if isinstance(cause, FileNotFoundError) else str(cause)
        why = why if command.cwd.is_dir() else f"its working folder {command.cwd} does not exist"
        raise error(f"cannot start {command.argv[0]!r}: {why}") from None
    child = Process(command, process, error)
    nursery.start_soon(child.drain)
    try:
        yield child
    finally:
        with trio.CancelScope(shield=True):
            await child.stop()
