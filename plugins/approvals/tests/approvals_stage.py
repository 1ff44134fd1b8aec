"""A driver whose agents do nothing but ask when a test wants them to, and profiles of every mode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from aegis import Caller, Decision, Kernel, PermissionRequest, Probe, Profile, Seat, hookimpl
from aegis.events import Event

ANNA, BOB = Caller("human", "anna"), Caller("human", "bob")
MODES = ("read", "write", "full", "auto")
CONFIG = "# ours\nagents:\n" + "".join(f"  asks-{m}: {{provider: asking, permission: {m}}}\n" for m in MODES)


def run(command: str, call: str = "01REQ", **beside: object) -> PermissionRequest:
    """Return what a CLI asks before it runs a command."""
    return PermissionRequest(call, "Bash", "execute", command, {"command": command, **beside})


def touch(kind: str, *paths: str, call: str = "01REQ", tool: str = "Edit") -> PermissionRequest:
    """Return what a CLI asks before it uses files."""
    return PermissionRequest(call, tool, kind, " ".join(paths), {"file_path": paths[0] if paths else ""}, paths)


class Asking:
    """A driver whose sessions do nothing; the test asks through their seats."""

    name, settings, resumes = "asking", Profile, False

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[Asking]:
        self.seats[seat.agent_id] = seat
        yield self

    async def receive(self) -> Sequence[Event]:
        await trio.sleep_forever()
        return ()

    def probe(self) -> Probe:
        return Probe(found=True)

    @hookimpl
    def aegis_drivers(self) -> list[Asking]:
        return [self]

    async def seat(self, kernel: Kernel, mode: str = "auto", handle: str = "calm-codd") -> Seat:
        """Return the seat of a new agent of this mode."""
        return self.seats[(await kernel.roster.spawn(f"asks-{mode}", handle)).id]


async def until(condition) -> None:
    """Return once it holds; what it waits for happens in threads."""
    with trio.fail_after(20):
        while not condition():
            await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def asked(seat: Seat, *requests: PermissionRequest) -> AsyncIterator[list[Decision]]:
    """Ask one after the other without waiting, and go on while the questions are open."""
    got: list[Decision] = []

    async def ask(request: PermissionRequest) -> None:
        got.append(await seat.ask(request))

    async with trio.open_nursery() as nursery:
        for request in requests:
            nursery.start_soon(ask, request)
            await trio.testing.wait_all_tasks_blocked(0.02)
        yield got


async def call(kernel: Kernel, verb: str, *, by: Caller = ANNA, **args: object):
    """Return what a person is told."""
    return await kernel.verbs.call(by, f"approvals {verb}", args)


async def numbers(kernel: Kernel) -> list[str]:
    """Return the numbers of the open requests."""
    return [row.id for row in await call(kernel, "list")]
