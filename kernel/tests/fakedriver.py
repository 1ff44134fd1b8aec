"""A driver without a CLI, for the kernel's own tests: what a session does with a prompt is a function of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from aegis import hookimpl
from aegis.driver import Probe, Profile, Seat
from aegis.events import Event, SessionStarted, Text, TurnEnded


class FakeSession:
    """What the CLI says is put in a queue by `say`; `die` ends it with an error."""

    def __init__(self, driver: FakeDriver, seat: Seat) -> None:
        self.driver, self.seat = driver, seat
        self.session_id = seat.resume or f"session-{len(driver.sessions)}"
        self.heard: list[str] = []
        self.interrupts = 0
        self._send, self._receive = trio.open_memory_channel[Sequence[Event] | BaseException](100)

    def say(self, *events: Event) -> None:
        """Have the next `receive` give these together."""
        self._send.send_nowait(events)

    def die(self, error: BaseException) -> None:
        """Have the next `receive` raise."""
        self._send.send_nowait(error)

    def end(self, outcome: Any = "completed") -> None:
        """Say that the turn is over."""
        self.say(TurnEnded(outcome))

    async def send(self, prompt: str) -> None:
        self.heard.append(prompt)
        await trio.lowlevel.checkpoint()
        self.driver.behave(self, prompt)

    async def receive(self) -> Sequence[Event]:
        got = await self._receive.receive()
        if isinstance(got, BaseException):
            raise got
        return got

    async def interrupt(self) -> None:
        self.interrupts += 1
        await trio.lowlevel.checkpoint()
        self.driver.obey(self)


def echo(session: FakeSession, prompt: str) -> None:
    """Answer at once with the last line."""
    session.say(
        SessionStarted(session.session_id), Text("echo: " + prompt.splitlines()[-1].strip()), TurnEnded("completed")
    )


def work(session: FakeSession, prompt: str) -> None:
    """Show a sign of life and go on until told otherwise."""
    session.say(Text("working"))


class FakeDriver:
    """`behave` is what sessions do with a prompt, `obey` what they do when interrupted; both may be replaced."""

    resumes = True

    def __init__(self, name: str = "fake", behave: Callable[[FakeSession, str], None] = echo) -> None:
        self.name, self.settings, self.behave = name, Profile, behave
        self.obey: Callable[[FakeSession], None] = lambda session: session.end("cancelled")
        self.opening: list[BaseException] = []  # what the next openings raise, one each
        self.sessions: list[FakeSession] = []
        self.open_now = 0

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[FakeSession]:
        await trio.lowlevel.checkpoint()
        if self.opening:
            raise self.opening.pop(0)
        session = FakeSession(self, seat)
        self.sessions.append(session)
        self.open_now += 1
        try:
            yield session
        finally:
            self.open_now -= 1

    def probe(self) -> Probe:
        return Probe(True)

    @property
    def heard(self) -> list[str]:
        """Every prompt of every session, in order."""
        return [prompt for session in self.sessions for prompt in session.heard]


class Plugin:
    """A plugin that offers what it is given."""

    def __init__(self, **offers: Sequence[Any]) -> None:
        self._offers = offers

    @hookimpl
    def aegis_drivers(self) -> Sequence[Any]:
        return self._offers.get("drivers", ())

    @hookimpl
    def aegis_primitives(self) -> Sequence[Any]:
        return self._offers.get("primitives", ())

    @hookimpl
    def aegis_interceptors(self) -> Sequence[Any]:
        return self._offers.get("interceptors", ())

    @hookimpl
    def aegis_frontends(self) -> Sequence[Any]:
        return self._offers.get("frontends", ())

    @hookimpl
    def aegis_settings(self) -> dict[str, Any]:
        return dict(self._offers.get("settings", ()))
