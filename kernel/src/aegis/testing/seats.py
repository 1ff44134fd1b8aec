"""Seats without a kernel: a driver opened directly, to look at its sessions from close by."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import trio

from aegis.clock import new_id
from aegis.driver import Decision, Driver, McpServer, PermissionRequest, Profile, Seat, Session, info_of
from aegis.errors import LaunchError
from aegis.events import Event, TurnEnded
from aegis.seat import GOVERNED, governed, prejudged
from aegis.testing.plane import TOOLS
from aegis.testing.processes import commands, descendants, runs, with_variable
from aegis_processes.processes import MARK, Command, Process, running

Ask = Callable[[PermissionRequest], Awaitable[Decision]]
PATIENCE = 30.0  # seconds that anything a CLI does may take in a test


async def allow(request: PermissionRequest) -> Decision:
    """Allow it."""
    return Decision("allowed")


def judging(driver: Driver, profile: Profile, folder: Path, ask: Ask) -> Ask:
    """Return a seat's `ask` that answers as a kernel's does, and asks only about what no mode answers."""

    async def judged(request: PermissionRequest) -> Decision:
        if governed(request, info_of(driver).plane, {tool["name"] for tool in TOOLS}):
            return GOVERNED
        request = prejudged(request, profile.permission, folder)
        return request.presumed or await ask(request)

    return judged


class Seats:
    """Opens sessions of one driver and remembers how their processes were started and what they asked for."""

    def __init__(self, driver: Driver, folder: Path, environment: Mapping[str, str]) -> None:
        self.driver, self.folder, self.environment = driver, folder, dict(environment)
        self.commands: list[Command] = []
        self.processes: list[Process] = []
        self.asked: list[PermissionRequest] = []
        self.marks: set[str] = set()
        self.rewrite: Callable[[Command], Command] = lambda command: command
        self.decide: Ask = allow
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def open(
        self,
        keys: Mapping[str, Any],
        *,
        handle: str = "",
        resume: str = "",
        seat_folder: Path | None = None,
        servers: Sequence[McpServer] = (),
        primer: str = "",
    ) -> AsyncIterator[Session]:
        """Enter a session of the profile with these keys; an error that ends it comes out as itself."""
        number = next(self._numbers)
        folder = seat_folder or self.folder / f"seat-{number}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        cwd = self.folder / "work"
        cwd.mkdir(exist_ok=True)
        mark = new_id()
        self.marks.add(mark)
        handle = handle or f"agent-{number}"
        lost: Exception | None = None
        async with trio.open_nursery() as nursery:

            @asynccontextmanager
            async def start(command: Command) -> AsyncIterator[Process]:
                command = self.rewrite(command)
                self.commands.append(command)
                async with running(command, nursery, LaunchError) as process:
                    self.processes.append(process)
                    yield process

            async def ask(request: PermissionRequest) -> Decision:
                self.asked.append(request)
                return await self.decide(request)

            env = self.environment | {MARK: mark, "AEGIS_HANDLE": handle}
            profile = self.driver.settings(**keys)
            judged, told = judging(self.driver, profile, cwd, ask), [primer] if primer else []
            seat = Seat(mark, handle, profile, cwd, folder, start, judged, resume, env, list(servers), told)
            try:
                async with self.driver.open(seat) as session:
                    yield session
            except Exception as error:  # noqa: BLE001 - raised again outside the nursery, which would wrap it
                lost = error
        if lost:
            raise lost

    def left(self) -> list[str]:
        """Return the command lines of every process that still carries a mark of these seats."""
        return marked(self.marks)


def marked(marks: set[str]) -> list[str]:
    """Return the command lines of the processes in whose environment one of the marks is."""
    return commands(with_variable(MARK, *marks))


async def heard(session: Session, *kinds: type[Event]) -> list[Event]:
    """Receive until an event of one of these kinds came, and return all events up to there."""
    events: list[Event] = []
    with trio.fail_after(PATIENCE):
        while not any(isinstance(event, kinds) for event in events):
            events += await session.receive()
    return events


async def turn(session: Session, prompt: str) -> list[Event]:
    """Have a turn and return what was said in it."""
    await session.send(prompt)
    return await heard(session, TurnEnded)


async def child_of(pid: int, name: str) -> psutil.Process:
    """Wait until the process has a descendant of this name, and return it."""
    with trio.fail_after(PATIENCE):
        while not (found := descendants(pid, name)):  # noqa: ASYNC110 - nobody tells us of another process's children
            await trio.sleep(0.01)
    return found[0]


async def gone(process: psutil.Process) -> None:
    """Wait until the process does not run any more."""
    with trio.fail_after(PATIENCE):
        while runs(process):  # noqa: ASYNC110 - nobody tells us of the end of another process's child
            await trio.sleep(0.01)
