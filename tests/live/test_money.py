"""What aegis books of a turn is what the model billed for it, or is said to be unknown; on the real CLIs.

The rows are the ways in which a total can be taken for a difference, or the other way round.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bills
import pytest
import trio
from acp_stage import gemini_environment, opencode_environment
from bills import UNKNOWN, Tools, billed, booked
from model_server import Model
from stage import scrubbed

from aegis.driver import Session
from aegis.errors import LaunchError
from aegis.events import SessionStarted, Text, TurnEnded
from aegis.testing.contract_base import of
from aegis.testing.seats import Seats, child_of, heard, turn
from aegis_claude.driver import ClaudeDriver
from aegis_gemini.driver import GeminiDriver
from aegis_opencode.driver import OpenCodeDriver

NOTHING = (UNKNOWN,) * 4


class Till:
    """Sessions of one seat, and what each turn in them was billed and booked."""

    def __init__(self, seats: Seats, server: Model, tools: Tools, **keys: Any) -> None:
        self.seats, self.model, self.tools, self.keys = seats, server, tools, keys | {"permission": "full"}
        self.session_id = ""

    @asynccontextmanager
    async def open(self, **keys: Any) -> AsyncIterator[Session]:
        """Open the session, or go on with it in another process."""
        folder = self.seats.folder / "kept"
        async with self.seats.open(self.keys | keys, resume=self.session_id, seat_folder=folder) as session:
            yield session

    async def spent(self, session: Session, words: str, *, lacking: tuple[int, ...] = ()) -> tuple[Any, Any]:
        """Have a turn and return what was booked, and what was billed; what it is known to lack is unknown there."""
        self.model.follow(*bills.scenes(self.tools))
        return self.bill(await turn(session, words), lacking)

    async def cut(self, session: Session, words: str) -> tuple[Any, Any]:
        """Interrupt a turn while the model speaks or, in `wait`, while its second tool runs."""
        self.model.follow(*bills.scenes(self.tools))
        await session.send(words)
        await (self.runs(session) if words == "wait" else heard(session, Text))
        await session.interrupt()
        return self.bill(await heard(session, TurnEnded))

    async def runs(self, session: Session) -> None:
        """Listen until the second tool of `wait` runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, session)
            await child_of(self.seats.processes[-1].pid, "tail")
            nursery.cancel_scope.cancel()

    async def kill(self, session: Session) -> None:
        """Kill the CLI while its second tool runs."""
        self.model.follow(*bills.scenes(self.tools))
        await session.send("wait")
        await self.runs(session)
        os.kill(self.seats.processes[-1].pid, signal.SIGKILL)
        with pytest.raises(LaunchError):
            await heard(session, TurnEnded)

    def bill(self, events: list[Any], lacking: tuple[int, ...] = ()) -> tuple[Any, Any]:
        """Return what was booked and what was billed."""
        for started in of(SessionStarted, events):
            self.session_id = started.session_id
        [end] = of(TurnEnded, events)
        said = [UNKNOWN if number in lacking else figure for number, figure in enumerate(billed(self.model))]
        return booked(end), tuple(said)


async def _listen(session: Session) -> None:
    while True:
        await session.receive()


def same(pair: tuple[Any, Any]) -> None:
    """Fail unless what was booked is what was billed."""
    assert pair[0] == pair[1]


@pytest.mark.ability("usage", "cost")
async def test_claude(tmp_path: Path, claude: str, model: Model) -> None:
    (home := tmp_path / "home").mkdir()
    till = Till(
        Seats(ClaudeDriver(), tmp_path, scrubbed(home, model)), model, bills.CLAUDE, command=[claude],
        model="claude-sonnet-4-5",
    )  # fmt: skip
    async with till.open() as session:
        for words in ("one", "plain", "tool", "help", "/compact", "plain"):
            same(await till.spent(session, words))
        stream, _ = await till.cut(session, "hang")
        assert stream == (UNKNOWN, 17, UNKNOWN, 0), "nobody says what the model had written"
        tried, _ = await till.spent(session, "/model claude-opus-4-5")
        assert tried[0] == UNKNOWN, "the model was asked whether it is there"
        same(await till.cut(session, "wait"))
        same(await till.spent(session, "plain"))
    async with till.open() as session:  # resumed
        same(await till.spent(session, "plain"))
        same(await till.spent(session, "one"))
        await till.kill(session)
    async with till.open(model="claude-opus-4-5") as session:  # resumed after a kill, with another model
        same(await till.spent(session, "plain"))
    async with till.open(args=["--fork-session"]) as session:
        same(await till.spent(session, "plain"))
        same(await till.spent(session, "tool"))


@pytest.mark.ability("usage", no="of a turn of several requests it tells only the tokens of the last")
@pytest.mark.ability("cost", no="what sub-agents cost it does not tell, nor a request that was interrupted")
async def test_opencode(tmp_path: Path, opencode: str, model: Model) -> None:
    environment = opencode_environment(tmp_path / "home", model)
    seats = Seats(OpenCodeDriver(), tmp_path, environment)
    till = Till(seats, model, bills.OPENCODE, command=[opencode], model="probe/scripted")
    async with till.open() as session:
        same(await till.spent(session, "one"))  # the start, and no request for a title
        same(await till.spent(session, "plain"))
        same(await till.spent(session, "tool", lacking=(1, 2, 3)))
        same(await till.spent(session, "help", lacking=(0, 1, 2, 3)))
        same(await till.spent(session, "/compact", lacking=(1, 2, 3)))
        same(await till.spent(session, "plain"))
        for words in ("hang", "wait"):
            assert (await till.cut(session, words))[0] == NOTHING
        same(await till.spent(session, "plain"))
    async with till.open() as session:  # resumed
        same(await till.spent(session, "plain"))
        await till.kill(session)
    async with till.open() as session:  # the total has a part of what was killed
        assert (await till.spent(session, "plain", lacking=(0,)))[0] == (UNKNOWN, 70, 30, 3_000)
        same(await till.spent(session, "plain"))


@pytest.mark.ability("usage", no="what was read from a cache it adds to the input, and what was thought it leaves out")
async def test_gemini(tmp_path: Path, gemini: str, model: Model) -> None:
    later = [0]  # seconds: a session is not resumed in the minute of its start, and here nobody waits for it to pass
    driver = GeminiDriver(now=lambda: time.time() + later[0])
    seats = Seats(driver, tmp_path, gemini_environment(tmp_path / "home", model))
    till = Till(seats, model, bills.GEMINI, command=[gemini], model="gemini-2.5-pro")
    async with till.open() as session:
        for words in ("one", "plain", "tool"):
            assert (await till.spent(session, words))[0] == NOTHING
        for words in ("hang", "wait"):
            assert (await till.cut(session, words))[0] == NOTHING
        await told(till, session)
    later[0] += 60
    for chat in (tmp_path / "home").rglob("chats/session-*"):
        chat.rename(chat.with_name(f"session-2026-01-05T10-00-{chat.name.rpartition('-')[2]}"))
    async with till.open() as session:  # resumed
        await told(till, session)


async def told(till: Till, session: Session) -> None:
    """Fail unless as much as Gemini CLI tells is of this turn alone."""
    till.model.follow(*bills.scenes(till.tools))
    [end] = of(TurnEnded, await turn(session, "plain"))
    assert end.usage and (end.usage.input, end.usage.output) == (3_070, 30)
