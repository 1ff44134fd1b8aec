"""What a CLI is started with: its variables, the secrets of its profile, and a folder for its temporary files."""

from __future__ import annotations

from contextlib import AbstractContextManager

import trio

from aegis import LaunchError, Seat
from aegis_environment.inheritance import Inheritance
from aegis_environment.secrets import Secrets
from aegis_private.folder import Folder
from aegis_private.runtime import runtime_folder

_TEMPORARY = "TMPDIR"


class Provide:
    """Gives each seat the variables its CLI inherits, and looks up the secrets that its profile names."""

    name = "environment"
    order = -100  # before anyone who looks at the variables, or adds some
    strict = True  # a CLI without its secret, or with a variable it must not have, is not started
    timeout = 60  # a source may be a program that asks another machine

    def __init__(self, inheritance: Inheritance, secrets: Secrets) -> None:
        self._inheritance, self._secrets = inheritance, secrets
        self._temporary: dict[str, AbstractContextManager[Folder]] = {}

    async def before_open(self, seat: Seat) -> None:
        """Put in what the CLI inherits, beneath what is the agent's own; raises `Refused` for an unknown secret."""
        bare, own = self._inheritance.ours.bare(), seat.profile.env
        added = {name: value for name, value in seat.env.items() if name in own or name not in bare}
        seat.env = self._inheritance.of(seat.profile) | added | await self._secrets.filled(own)
        if _TEMPORARY not in own and not self._inheritance.ours.exact:
            await self._end(seat)
            folder = runtime_folder("aegis-seat", LaunchError, large=True)
            opened = await trio.to_thread.run_sync(folder.__enter__)
            self._temporary[seat.agent_id] = folder
            seat.env[_TEMPORARY] = str(opened.path)

    async def session_ended(self, seat: Seat) -> None:
        """Remove what the CLI, and all that it started, left in its folder for temporary files."""
        await self._end(seat)

    async def _end(self, seat: Seat) -> None:
        if folder := self._temporary.pop(seat.agent_id, None):
            await trio.to_thread.run_sync(folder.__exit__, None, None, None)
