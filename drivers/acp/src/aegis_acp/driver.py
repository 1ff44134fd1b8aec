"""ACP agents as sessions: one process for each, started, opened, and left with nothing behind."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from aegis import Command, DriverInfo, Probe, Profile, Refused, Seat
from aegis.driver import Permission
from aegis_acp.figures import Figures
from aegis_acp.profile import AcpProfile
from aegis_acp.session_record import SessionRecord

if TYPE_CHECKING:
    from pathlib import Path

    from aegis_acp import v1
    from aegis_acp.session import AcpSession

_MINUTE = 60.0


class AcpDriver:
    """The provider `acp`: whatever agent a profile's `command` starts. Shims say what theirs does differently.

    `modes` are the agent's own for our permissions; `asks` is true when it asks before all that changes something,
    `picks` when it is told its model in the session, `once_a_minute` when a session is lost that is loaded in the
    minute in which it was opened; `figures` is what its usage and costs count.
    """

    name = "acp"
    settings: type[Profile] = AcpProfile
    resumes = True
    info = DriverInfo(calls_home="what it does by itself is not known, nor any switch for it; look into its manual")
    proven = ""
    install = "any agent that speaks ACP: say in `.aegis.yaml` how it is started, `command: [...]`"
    modes: ClassVar[Mapping[Permission, str]] = {}
    asks = False
    picks = True
    once_a_minute = False
    figures: ClassVar[Figures] = Figures()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def command(self, seat: Seat, profile: Any) -> Command:
        """Return how the seat's agent is started."""
        return Command([*profile.command, *profile.args], dict(seat.env), seat.cwd)

    def check(self, profile: Any) -> None:
        """Raise `Refused` when it is not known how the agent is started, or what holds it to the permission."""
        if not profile.command:
            raise Refused("an agent with `provider: acp` needs `command: [...]`: how it is started, ACP on its pipes")
        permission = profile.permission
        if permission in ("read", "write") and not (self.asks or profile.asks or permission in profile.mode_map):
            raise Refused(
                f"nothing holds this agent to the permission {permission!r}: name its own mode for it "
                f"(`mode_map: {{{permission}: ...}}`), or say `asks: true` if it asks before everything that changes "
                "something"
            )

    def given(self, said: v1.ToolCallUpdate, folder: Path) -> Any:
        """Return what a tool is given, where the agent has it in words alone; None where that is not exactly known."""
        return None

    @asynccontextmanager
    async def open(self, seat: Seat) -> AsyncIterator[AcpSession]:
        """Start the agent in the seat; raise `LaunchError` or `Refused` if its session does not open."""
        profile = seat.profile
        assert isinstance(profile, AcpProfile)
        self.check(profile)
        command, record = self.command(seat, profile), SessionRecord.of(seat)
        # The protocol's types take 0.4 s to load: not before there is an agent, and beside everybody else's work.
        opening = await trio.to_thread.run_sync(import_module, "aegis_acp.opening")
        waited = await self._wait(seat, record)
        failure: Exception | None = None
        async with seat.start(command) as process, trio.open_nursery() as tasks:
            session = opening.AcpSession(seat, process, tasks, self.given)
            try:
                mode = profile.mode_map.get(profile.permission) or self.modes.get(profile.permission, "")
                begin = opening.Opening(seat, session, record, self.figures, mode=mode, picks=self.picks)
                await begin.run(self._now(), waited)
                yield session
            except Exception as error:  # noqa: BLE001  # raised below: the nursery would wrap it in a group
                failure = error
            finally:
                await session.close()
                tasks.cancel_scope.cancel()
        if failure:
            raise failure

    async def _wait(self, seat: Seat, record: SessionRecord) -> str:
        """Let the minute pass in which the session to resume was opened, and return what there is to say of that."""
        now = self._now()
        loads = self.once_a_minute and seat.resume and seat.resume == record.session_id and record.told
        if not loads or now // _MINUTE > record.opened // _MINUTE:
            return ""
        seconds = _MINUTE - now % _MINUTE
        await trio.sleep(seconds)
        return f"it was started {seconds:.0f} s later: a session resumed in the minute of its start would be lost"

    def probe(self) -> Probe:
        """Say whether the agent is on PATH and which version it is."""
        name = next(iter(self.settings().command), "")  # type: ignore[attr-defined, call-arg]  # each has one
        path = shutil.which(name) if name else None
        if path is None:
            return Probe(False, proven=self.proven, hint=self.install)
        try:
            done = subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(False, path=path, proven=self.proven, hint=f"`{name} --version` did not work: {error}")
        found = re.search(r"\d+\.\d+\.\d+", done.stdout.decode(errors="replace"))
        return Probe(True, found[0] if found else "", path, self.proven)
