"""A shell on its own pseudo-terminal, read on the trio loop; no process of it is left behind."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from aegis import LaunchError
from aegis_processes.child import Child, start

# A terminal that the leader of a new session opens becomes its controlling terminal; no code of ours runs after a fork.
_LAUNCH = 'exec "$@" <"$0" >"$0" 2>&1'
_CHUNK, _BATCH = 4_096, 131_072  # bytes: a read gives 4 KiB on Linux, so several are handed on together
_HANG_UP = 0.25  # seconds that a shell has to end after a hang-up


class Pty:
    """A running shell: what it says, what it is told, who is in the foreground."""

    def __init__(self, master: int, slave: int, process: Child) -> None:
        self.master, self._slave, self.process = master, slave, process
        self.pid = process.pid
        self._writing, self._room = trio.Lock(), memoryview(bytearray(_BATCH))

    async def read(self) -> bytes:
        """Return the next bytes; they come together when there are many."""
        await trio.lowlevel.wait_readable(self.master)
        return self.left()

    def left(self) -> bytes:
        """Return what can be read now."""
        size = 0
        with suppress(OSError):  # nothing more now; or nobody has the terminal open
            while size <= _BATCH - _CHUNK and (more := os.readv(self.master, [self._room[size:]])):
                size += more
        return bytes(self._room[:size])

    async def write(self, data: bytes, seconds: float) -> int:
        """Type the bytes and return how many were taken in that time: a program that does not read takes no more."""
        taken = 0
        with trio.move_on_after(seconds):
            async with self._writing:
                while taken < len(data):
                    try:
                        taken += os.write(self.master, data[taken : taken + 1024])
                    except BlockingIOError:
                        await trio.lowlevel.wait_writable(self.master)
                    except OSError:
                        break
        return taken

    @property
    def at_its_own(self) -> bool:
        """True while the shell itself, and no program, has the terminal's foreground."""
        try:
            return os.tcgetpgrp(self.master) == self.pid
        except OSError:
            return False

    @property
    def edits_a_line(self) -> bool:
        """True while the shell itself reads keys one by one: somebody's line is being edited."""
        try:
            return self.at_its_own and not termios.tcgetattr(self._slave)[3] & termios.ICANON
        except termios.error:
            return False

    def resize(self, rows: int, columns: int) -> None:
        """Set the size; the foreground program is told by the system."""
        with suppress(OSError):
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def stop(self) -> None:
        """End the shell and everything it started, gently first; takes at most about a second."""
        await self.process.family.look()
        with suppress(OSError):
            if (group := os.tcgetpgrp(self.master)) > 0:  # 0 means nobody here, and to killpg means ourselves
                os.killpg(group, signal.SIGHUP)
        self.process.signal(signal.SIGHUP)
        self.process.signal(signal.SIGCONT)
        with trio.move_on_after(_HANG_UP):
            await self.process.wait()
        await self.process.end()


@asynccontextmanager
async def running(argv: Sequence[str], env: Mapping[str, str], cwd: Path, size: tuple[int, int]) -> AsyncIterator[Pty]:
    """Run the shell; after any exit no process and no descriptor is left. Raises `LaunchError`."""
    try:
        master, slave = pty.openpty()
    except OSError as error:
        raise LaunchError(f"there is no free pseudo-terminal: {error}") from None
    try:
        os.set_blocking(master, False)
        command = ["/bin/sh", "-c", _LAUNCH, os.ttyname(slave), *argv]
        try:
            process = await start(command, env, cwd, stdin=False, stdout=False)
        except OSError as error:
            raise LaunchError(f"cannot start {argv[0]}: {error}") from None
        shell = Pty(master, slave, process)
        shell.resize(*size)
        try:
            yield shell
        finally:
            with trio.CancelScope(shield=True):
                await shell.stop()
    finally:
        trio.lowlevel.notify_closing(master)
        os.close(master)
        os.close(slave)
