"""An agent without a process, for tests of what is not a driver: it says what it heard, when it may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import trio

from aegis.clock import new_id
from aegis.driver import Driver, Probe, Profile, Seat
from aegis.errors import SessionGone
from aegis.events import Event, SessionStarted, Text, TurnEnded
from aegis.hookspecs import hookimpl


class EchoSession:
    """Answers each prompt with the prompt, once `gate` is open; `heard` is what it was sent."""

    def __init__(self, session_id: str, *, gated: bool = False, mute: bool = False) -> None:
        self.session_id, self._mute = session_id, mute
        self.heard: list[str] = []
        self.gate = trio.Event()
        if not gated:
            self.gate.set()
        self._begun, self._obey = trio.Event(), trio.Event()

    async def send(self, prompt: str) -> None:
        """Take the prompt."""
        await trio.lowlevel.checkpoint()
        self.heard.append(prompt)
        self._obey = trio.Event()
        self._begun.set()

    async def receive(self) -> Sequence[Event]:
        """Say that the turn has begun, then its end."""
        await self._begun.wait()
        if not self.gate.is_set():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until, self.gate, nursery)
                nursery.start_soon(self._until, self._obey, nursery)
        self._begun = trio.Event()
        outcome = TurnEnded("cancelled") if self._obey.is_set() else TurnEnded("completed")
        words = [] if self._mute or outcome.outcome == "cancelled" else [Text(self.heard[-1])]
        return [SessionStarted(self.session_id), *words, outcome]

    @staticmethod
    async def _until(event: trio.Event, nursery: trio.Nursery) -> None:
        await event.wait()
        nursery.cancel_scope.cancel()

    async def interrupt(self) -> None:
        """End the turn."""
        await trio.lowlevel.checkpoint()
        self._obey.set()


class EchoDriver:
    """The provider `echo`; `sessions` are the live ones by agent id, `kept` the ids of those that can be resumed.

    Sessions begin with their gate shut once it is `gated`, and say nothing once it is `mute`.
    """

    name = "echo"
    settings = Profile
    resumes = True

    def __init__(self) -> None:
        self.sessions: dict[str, EchoSession] = {}
        self.kept: set[str] = set()
        self.gated = self.mute = False

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[EchoSession]:
        """Start a session, or go on with one that is kept."""
        if seat.resume and seat.resume not in self.kept:
            raise SessionGone(f"there is no session {seat.resume!r}")
        session = self.sessions[seat.agent_id] = EchoSession(seat.resume or new_id(), gated=self.gated, mute=self.mute)
        self.kept.add(session.session_id)
        yield session
        del self.sessions[seat.agent_id]

    def probe(self) -> Probe:
        """Say that it is here."""
        return Probe(True)


class EchoPlugin:
    """The plugin that offers it."""

    def __init__(self) -> None:
        self.driver = EchoDriver()

    @hookimpl
    def aegis_drivers(self) -> Iterable[Driver]:
        """Offer the echo."""
        return [self.driver]
