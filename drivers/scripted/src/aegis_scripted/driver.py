"""The scripted agent as sessions: a process, and the lines that pass to and from it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

import aegis
from aegis import Command, Process
from aegis.driver import Decision, DriverInfo, PermissionRequest, Probe, Profile, Seat
from aegis.errors import LaunchError, SessionGone
from aegis.events import Event, SessionStarted, TurnEnded, Unknown, decode
from aegis_scripted.profile import ScriptedProfile

_START = 30.0  # seconds to say the first word
_HERE = Path(__file__).parent
_FOLDERS = os.pathsep.join({str(_HERE.parent), str(Path(aegis.__file__).parents[1])})


class ScriptedDriver:
    """The provider `scripted`."""

    name = "scripted"
    settings: type[Profile] = ScriptedProfile
    resumes = True
    info = DriverInfo(fallback=True)

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[ScriptedSession]:
        """Start the agent in the seat; raise `LaunchError` if it does not come up or has nothing to resume."""
        assert isinstance(seat.profile, ScriptedProfile)
        rules = seat.profile.rules(seat.cwd)
        command = Command([sys.executable, "-I", "-S", str(_HERE / "__main__.py"), _FOLDERS], seat.env, seat.cwd)
        gone: LaunchError | None = None
        async with seat.start(command) as process:
            session = ScriptedSession(seat, process)
            await session.start(rules)
            async with trio.open_nursery() as session.asking:
                try:
                    yield session
                except LaunchError as error:  # raised outside the nursery, which would wrap it in a group
                    gone = error
                session.asking.cancel_scope.cancel()
        if gone:
            raise gone

    def probe(self) -> Probe:
        """Say that it is always here."""
        return Probe(True, aegis.__version__, sys.executable, aegis.__version__)


class ScriptedSession:
    """A live scripted agent."""

    asking: trio.Nursery  # the permission requests that are being answered
    session_id = ""

    def __init__(self, seat: Seat, process: Process) -> None:
        self._seat, self._process = seat, process
        self._busy = False
        self._early: list[Event] = []
        self._asked: dict[str, trio.CancelScope] = {}

    async def start(self, rules: Sequence[dict[str, Any]]) -> None:
        """Tell the agent who it is and wait until it says which conversation this is."""
        seat = self._seat
        servers = [{"name": s.name, "url": s.url, "headers": s.headers} for s in seat.servers]
        await self._order(
            "start", handle=seat.handle, primer="\n\n".join(seat.primer), servers=servers, folder=str(seat.folder),
            resume=seat.resume, script=rules,
        )  # fmt: skip
        with trio.move_on_after(_START):
            while not self.session_id:
                self._early += await self.receive()
                self.session_id = next((e.session_id for e in self._early if isinstance(e, SessionStarted)), "")
            return
        raise LaunchError(f"{self._process.command} has not said a word within {_START:.0f} s")

    async def send(self, prompt: str) -> None:
        """Hand the prompt to the agent."""
        self._busy = True
        await self._order("turn", prompt=prompt)

    async def receive(self) -> Sequence[Event]:
        """Wait for the next events; raise `LaunchError` once the agent is gone."""
        events, self._early = self._early, []
        while not events:
            for line in await self._process.lines():
                if line:
                    events += self._heard(line)
        return events

    async def interrupt(self) -> None:
        """Ask the turn in flight to stop."""
        if self._busy:
            await self._order("interrupt")

    async def _order(self, what: str, **more: Any) -> None:
        await self._process.write(json.dumps({"do": what, **more}).encode() + b"\n")

    def _heard(self, line: bytes) -> list[Event]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return [Unknown(line[:4_000].decode(errors="replace"))]
        if isinstance(said, dict) and "gone" in said:
            raise SessionGone(said["gone"])
        event = decode(said)
        if isinstance(event, TurnEnded):
            if not self._busy:
                return [Unknown(said)]
            self._busy = False
        if not isinstance(event, Unknown):
            return [event]
        match said:
            case {"t": "Ask", "id": str(number), "tool": str(tool)}:
                self._asked[number] = scope = trio.CancelScope()
                self.asking.start_soon(self._asked_for, number, tool, said, scope)
            case {"t": "AskedNoMore", "id": str(number)}:
                if number in self._asked:
                    self._asked[number].cancel()
            case _:
                return [event]
        return []

    async def _asked_for(self, number: str, tool: str, said: dict[str, Any], scope: trio.CancelScope) -> None:
        decision = Decision("cancelled")
        with scope:
            paths = tuple(map(str, said.get("paths", ())))
            given = said.get("input")
            title = " ".join([tool, *map(str, paths or (given.values() if isinstance(given, dict) else ()))])[:200]
            kind = said.get("kind", "other")
            request = PermissionRequest(number, tool, kind, title, given, paths)
            decision = await self._seat.ask(request)
        del self._asked[number]
        if not scope.cancelled_caught:
            why = "" if decision.allowed else decision.reason or f"the request ended {decision.outcome}"
            with suppress(LaunchError):  # it is gone; `receive` says so with its last words
                await self._order("answer", id=number, refusal=why)
