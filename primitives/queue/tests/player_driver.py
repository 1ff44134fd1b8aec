"""Workers that play a part: each turn goes as the next line of the playbook says, and everything they do is noted."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import trio

from aegis import Driver, LaunchError, Probe, Profile, Seat, hookimpl
from aegis.clock import new_id
from aegis.errors import SessionGone
from aegis.events import Event, SessionStarted, Text, TurnEnded

Part = Callable[["Player", str], None]


class Player:
    """One session; its parts say what it says."""

    def __init__(self, driver: Players, seat: Seat) -> None:
        self.driver, self.seat, self.session_id = driver, seat, seat.resume or new_id()
        self._put, self._take = trio.open_memory_channel[Sequence[Event] | BaseException](1000)

    def say(self, *events: Event | BaseException) -> None:
        """Have the next `receive` give these, or raise."""
        for event in events:
            self._put.send_nowait(event if isinstance(event, BaseException) else [event])

    async def send(self, prompt: str) -> None:
        await trio.lowlevel.checkpoint()
        self.driver.heard.append((self.seat.agent_id, prompt, trio.current_time()))
        playbook = self.driver.playbook
        (playbook.pop(0) if playbook else self.driver.otherwise)(self, prompt)

    async def receive(self) -> Sequence[Event]:
        got = await self._take.receive()
        if isinstance(got, BaseException):
            raise got
        return got

    async def interrupt(self) -> None:
        await trio.lowlevel.checkpoint()
        self.say(TurnEnded("cancelled"))


def done(player: Player, prompt: str) -> None:
    """Answer."""
    player.say(SessionStarted(player.session_id), Text("done"), TurnEnded("completed"))


def mute(player: Player, prompt: str) -> None:
    """End the turn without a word."""
    player.say(TurnEnded("completed"))


def begin(player: Player, prompt: str) -> None:
    """Show a sign of life, and go on for ever."""
    player.say(SessionStarted(player.session_id), Text("one moment"))


def hang(player: Player, prompt: str) -> None:
    """Show nothing at all."""


def crash(player: Player, prompt: str) -> None:
    """Die in the middle of the turn."""
    player.say(Text("I was about to"), LaunchError("the CLI died: signal 9"))


def failing(reason: str) -> Part:
    """Have the model give up."""
    return lambda player, prompt: player.say(Text("hm"), TurnEnded("failed", reason=reason))


class Players:
    """The provider `player`, and the plugin that offers it: `openings` are errors of the next launches, one each."""

    name, settings, resumes = "player", Profile, True

    def __init__(self) -> None:
        self.playbook: list[Part] = []
        self.otherwise: Part = done
        self.openings: list[BaseException] = []
        self.heard: list[tuple[str, str, float]] = []
        self.sessions: dict[str, Player] = {}
        self.opened: list[tuple[str, float]] = []
        self.kept: set[str] = set()
        self.opens: Callable[[Player], None] = lambda player: None

    @hookimpl
    def aegis_drivers(self) -> Iterable[Driver]:
        return [self]

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[Player]:
        await trio.lowlevel.checkpoint()
        self.opened.append((seat.agent_id, trio.current_time()))
        if self.openings:
            raise self.openings.pop(0)
        if seat.resume and seat.resume not in self.kept:
            raise SessionGone(f"there is no session {seat.resume!r}")
        player = self.sessions[seat.agent_id] = Player(self, seat)
        self.kept.add(player.session_id)
        self.opens(player)
        try:
            yield player
        finally:
            del self.sessions[seat.agent_id]

    def probe(self) -> Probe:
        return Probe(True)


def killed(project: Path, copy: Path, book: str = "", kind: str = "", nth: int = 1) -> Path:
    """Return a copy of the project as kill -9 leaves it: now, or after the nth record of this book and kind."""
    (copy / ".aegis" / "state").mkdir(parents=True)
    shutil.copy(project / ".aegis.yaml", copy)
    for name in ("ledger.db", "ledger.db-wal"):
        if (project / ".aegis" / "state" / name).exists():
            shutil.copy(project / ".aegis" / "state" / name, copy / ".aegis" / "state")
    if kind:
        with closing(sqlite3.connect(copy / ".aegis" / "state" / "ledger.db")) as db:
            rows = db.execute("select seq from records where book=? and kind=? order by seq", (book, kind)).fetchall()
            db.execute("delete from records where seq > ?", rows[nth - 1])
            db.commit()
    return copy
