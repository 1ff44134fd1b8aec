"""Where the real CLI plays: a project, a home of its own, a seat, and a model that follows a script."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio
from model_server import Block, Model, tool_use

from aegis.driver import Decision, McpServer, PermissionRequest, Seat
from aegis.errors import LaunchError
from aegis.events import Event, TurnEnded
from aegis.testing.seats import judging
from aegis_claude.driver import ClaudeDriver, ClaudeSession
from aegis_claude.profile import ClaudeProfile
from aegis_processes.processes import Command, Process, running

Ask = Callable[[PermissionRequest], Awaitable[Decision]]


def scrubbed(home: Path, model: Model) -> dict[str, str]:
    """Return a whole environment without anything of ours: an empty home, a dummy key, nothing sent anywhere."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": model.url,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_FEEDBACK_COMMAND": "1",
    }


class Stage:
    """One project and one home in which sessions of the real CLI are opened, one after the other."""

    def __init__(self, folder: Path, claude: str, model: Model) -> None:
        self.folder, self.claude, self.model = folder, claude, model
        self.home, self.project, self.seat = folder / "home", folder / "project", folder / "seat"
        for place in (self.home, self.project, self.seat):
            place.mkdir(mode=0o700)
        self.asked: list[PermissionRequest] = []
        self.process: Process | None = None

    def open(
        self,
        *,
        ask: Ask | None = None,
        servers: list[McpServer] | None = None,
        primer: list[str] | None = None,
        resume: str = "",
        inherited: dict[str, str] | None = None,
        **profile: Any,
    ) -> AbstractAsyncContextManager[ClaudeSession]:
        """Open a session; further keywords are keys of the profile."""
        return self._open(ask, servers or [], primer or [], resume, inherited or {}, profile)

    @asynccontextmanager
    async def start(self, nursery: trio.Nursery, command: Command) -> AsyncIterator[Process]:
        """Run the command as the seat's process."""
        async with running(command, nursery, LaunchError) as self.process:
            yield self.process

    @asynccontextmanager
    async def _open(
        self,
        ask: Ask | None,
        servers: list[McpServer],
        primer: list[str],
        resume: str,
        inherited: dict[str, str],
        keys: dict[str, Any],
    ) -> Any:
        async def recorded(request: PermissionRequest) -> Decision:
            self.asked.append(request)
            return await ask(request) if ask else Decision("denied", "nobody was to be asked")

        profile = ClaudeProfile(command=[self.claude], **{"model": "claude-sonnet-4-5"} | keys)
        environment = scrubbed(self.home, self.model) | inherited | profile.env
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            start = partial(self.start, nursery)
            judged = judging(ClaudeDriver(), profile, self.project, recorded)
            seat = Seat("01AGENT", "lucid-knuth", profile, self.project, self.seat, start, judged, resume)
            seat.env, seat.servers, seat.primer = environment, servers, primer
            try:
                async with ClaudeDriver().open(seat) as session:
                    yield session
            except Exception as error:  # noqa: BLE001  # raised outside the nursery, which would wrap it in a group
                failure = error
            nursery.cancel_scope.cancel()
        if failure:
            raise failure


async def turn(session: ClaudeSession, prompt: str) -> list[Event]:
    """Say something and return all that is said until the turn has ended."""
    await session.send(prompt)
    return await until_end(session)


async def until_end(session: ClaudeSession, seconds: float = 30) -> list[Event]:
    """Return all that is said until the turn has ended."""
    events: list[Event] = []
    with trio.fail_after(seconds):
        while not any(type(event) is TurnEnded for event in events):
            events += await session.receive()
    return events


def bash(command: str) -> Block:
    """Return the block by which the model runs a command."""
    return tool_use("Bash", command=command, description="")


def of(kind: type, events: list[Event]) -> list[Any]:
    """Return the events of one kind."""
    return [event for event in events if type(event) is kind]


def ended(events: list[Event]) -> TurnEnded:
    """Return the one end of the turn."""
    [end] = of(TurnEnded, events)
    return end


async def heard(session: ClaudeSession, kind: type) -> Event:
    """Receive until such an event was said."""
    with trio.fail_after(20):
        while True:
            for event in await session.receive():
                if type(event) is kind:
                    return event
