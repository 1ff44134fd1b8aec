"""The real Claude Code, cut off from the world: no account, no network but the loopback, a home of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))  # importlib mode puts no test folder on the path

from model_server import Model  # noqa: E402
from model_server import running as model_running  # noqa: E402

from aegis.driver import Decision, McpServer, PermissionRequest, Seat  # noqa: E402
from aegis.events import Event, TurnEnded  # noqa: E402
from aegis.processes import Process, running  # noqa: E402
from aegis_claude.driver import ClaudeDriver, ClaudeSession  # noqa: E402
from aegis_claude.profile import ClaudeProfile  # noqa: E402

Ask = Callable[[PermissionRequest], Awaitable[Decision]]


def closed_network() -> bool:
    """Return whether this machine, as we see it, has no network but the loopback."""
    return sys.platform == "linux" and [p.name for p in Path("/sys/class/net").iterdir()] == ["lo"]


def pytest_report_header() -> str:
    """Say whether the CLIs could reach anything at all."""
    return "live: " + ("loopback only" if closed_network() else "network NOT closed (use tests/live/run)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def claude() -> str:
    """Return the real Claude Code: of `AEGIS_CLIS`, else of `.clis` in the repository."""
    folder = Path(os.environ.get("AEGIS_CLIS", ROOT / ".clis"))
    binary = folder / "node_modules" / ".bin" / "claude"
    if not binary.exists():
        if "AEGIS_CLIS" in os.environ:
            pytest.fail(f"AEGIS_CLIS names {folder}, which has no node_modules/.bin/claude")
        pytest.skip("Claude Code is not installed; `make clis` does it")
    return str(binary.resolve())


@pytest.fixture
def model() -> Iterator[Model]:
    """Run a scripted model that says "ok" until told otherwise."""
    with model_running() as server:
        yield server


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
        self.raw: list[bytes] = []

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

        @asynccontextmanager
        async def start(command: Any) -> Any:
            async with running(command, nursery) as process:
                self.process = process
                yield process

        profile = ClaudeProfile(command=[self.claude], **{"model": "claude-sonnet-4-5"} | keys)
        environment = scrubbed(self.home, self.model) | inherited | profile.env
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            seat = Seat("01AGENT", "lucid-knuth", profile, self.project, self.seat, start, recorded, resume)
            seat.env, seat.servers, seat.primer = environment, servers, primer
            try:
                async with ClaudeDriver().open(seat) as session:
                    yield session
            except Exception as error:  # noqa: BLE001  # raised outside the nursery, which would wrap it in a group
                failure = error
            nursery.cancel_scope.cancel()
        if failure:
            raise failure


@pytest.fixture
def stage(tmp_path: Path, claude: str, model: Model) -> Iterator[Stage]:
    """Return a project and a home to open sessions in."""
    yield Stage(tmp_path, claude, model)
    shutil.rmtree(tmp_path, ignore_errors=True)


async def turn(session: ClaudeSession, prompt: str) -> list[Event]:
    """Say something and return all that is said until the turn has ended; the end is the last."""
    await session.send(prompt)
    return await until_end(session)


async def until_end(session: ClaudeSession, seconds: float = 30) -> list[Event]:
    """Return all that is said until the turn has ended."""
    events: list[Event] = []
    with trio.fail_after(seconds):
        while not any(type(event) is TurnEnded for event in events):
            events += await session.receive()
    assert type(events[-1]) is TurnEnded
    return events
