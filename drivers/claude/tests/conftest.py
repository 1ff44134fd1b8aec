from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from aegis.driver import Decision, PermissionRequest, Seat
from aegis.errors import LaunchError
from aegis.testing.seats import judging
from aegis_claude.driver import ClaudeDriver, ClaudeSession
from aegis_claude.profile import ClaudeProfile
from aegis_processes.processes import running

HERE = Path(__file__).parent


async def nobody(request: PermissionRequest) -> Decision:
    return Decision("denied", "nobody was to be asked")


@pytest.fixture
def seat(tmp_path: Path) -> Callable[..., Seat]:
    """Return a maker of seats; keywords are keys of the profile."""

    def made(ask: Callable[[PermissionRequest], Awaitable[Decision]] = nobody, **profile: Any) -> Seat:
        unused: Any = None
        settings = ClaudeProfile(**profile)
        judged = judging(ClaudeDriver(), settings, tmp_path, ask)
        return Seat("01AGENT", "lucid-knuth", settings, tmp_path, tmp_path, unused, judged)

    return made


@asynccontextmanager
async def _opened(seat: Seat) -> AsyncIterator[ClaudeSession]:
    """Open the seat's session with a real process."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        seat.start = partial(running, nursery=nursery, error=LaunchError)
        try:
            async with ClaudeDriver().open(seat) as session:
                yield session
        except Exception as error:  # noqa: BLE001  # raised outside the nursery, which would wrap it in a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure:
        raise failure


@pytest.fixture
def opened() -> Callable[[Seat], AbstractAsyncContextManager[ClaudeSession]]:
    """Return what opens a seat's session with a real process."""
    return _opened


@pytest.fixture
def replayed() -> Callable[[str], list[str]]:
    """Return what gives the command that says a recording again."""
    return lambda name: [sys.executable, "-I", str(HERE / "replay.py"), str(HERE / "recordings" / f"{name}.jsonl")]
