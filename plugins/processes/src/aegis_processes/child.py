"""A child process: it belongs to its family from its first moment on, and its end is waited for without a signal."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from aegis_private.umask import users_umask
from aegis_processes.family import Family
from aegis_processes.leftovers import FOR, MARK


class Child:
    """A process that was started here, with the pipes to it."""

    def __init__(self, family: Family, process: subprocess.Popen[bytes], pipes: Sequence[int | None]) -> None:
        to, out, err = pipes
        self.family, self._process, self.pid = family, process, process.pid
        self._end = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self._waiting = trio.Lock()
        self.stdin = None if to is None else trio.lowlevel.FdStream(to)
        self.stdout, self.stderr = (None if fd is None else trio.lowlevel.FdStream(fd) for fd in (out, err))

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None until somebody has waited for it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return how it ended."""
        if (code := self._process.returncode) is not None:
            return int(code)
        async with self._waiting:
            if self._process.returncode is None:
                if self._end < 0:
                    await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
                else:
                    await trio.lowlevel.wait_readable(self._end)
                    os.close(self._end)
                self._process.wait()
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.returncode is None:
            with suppress(OSError):
                os.kill(self.pid, number)  # nobody but us reaps it, so the number is its own

    async def end(self) -> None:
        """End it and everything it started at once, and see them gone; the pipes are closed."""
        await self.family.end(self._process.returncode is None)
        await self.wait()
        self.family.forget()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()


class _Asked(Collection[int]):
    """No descriptors; when they are asked for, which `Popen` does right before it forks, somebody is told."""

    def __init__(self, asked: Callable[[], None]) -> None:
        self._asked = asked

    def __iter__(self) -> Iterator[int]:
        self._asked()
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, descriptor: object) -> bool:
        return False


class _Started(subprocess.Popen[bytes]):
    """A process that is its family's from its first moment on: no code of ours runs in it."""

    def __init__(self, family: Family, argv: Sequence[str], **options: Any) -> None:
        self._family = family
        with ExitStack() as self._forking:
            super().__init__(argv, pass_fds=_Asked(self._fork), **options)

    def _fork(self) -> None:
        self._forking.enter_context(self._family.numbering())

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "pid" and value:
            self._family.born(value)
            self._forking.close()


async def start(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, stdin: bool = True, stdout: bool = True
) -> Child:
    """Start the command in a session of its own, with a pipe to its input and from what it says, or without them.

    What is in `env` as the mark says whose it is. Raises `OSError`, and `ValueError` for what cannot be an argument.
    """
    family = Family(env.get(MARK, ""), env.get(FOR, ""))
    await family.begin()
    make = partial(_start, list(argv), dict(env), cwd, family, stdin=stdin, stdout=stdout)
    try:
        return Child(family, *await trio.to_thread.run_sync(make))
    except (OSError, ValueError):
        family.forget()
        raise


def _start(
    argv: list[str], env: dict[str, str], cwd: Path, family: Family, *, stdin: bool, stdout: bool
) -> tuple[subprocess.Popen[bytes], list[int | None]]:
    theirs: list[int] = []
    ours: list[int | None] = []
    try:
        for wanted, writes in ((stdin, True), (stdout, False), (stdout, False)):
            if not wanted:
                theirs.append(subprocess.DEVNULL)
                ours.append(None)
                continue
            reading, writing = os.pipe()
            theirs.append(reading if writes else writing)
            ours.append(writing if writes else reading)
        process = _Started(
            family, argv, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2], env=env, cwd=cwd,
            start_new_session=True, umask=users_umask(),
        )  # fmt: skip
    except BaseException:
        for descriptor in ours:
            if descriptor is not None:
                os.close(descriptor)
        raise
    finally:
        for descriptor in theirs:
            if descriptor >= 0:
                os.close(descriptor)
    return process, ours
