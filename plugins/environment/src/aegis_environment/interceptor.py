"""What a CLI is started with: its variables, the secrets of its profile, and a folder for its temporary files."""

from __future__ import annotations

from collections.abc import Awaitable

from aegis import Seat
from aegis_environment.folders import SeatFolders
from aegis_environment.inheritance import Inheritance
from aegis_environment.secrets import Secrets

_TEMPORARY = "TMPDIR"


class Provide:
    """Gives each seat the variables its CLI inherits, and looks up the secrets that its profile names."""

    name = "environment"
    order = -100  # before anyone who looks at the variables, or adds some
    strict = True  # a CLI without its secret, or with a variable it must not have, is not started
    timeout = 60  # a source may be a program that asks another machine

    def __init__(self, inheritance: Inheritance, secrets: Secrets, folders: SeatFolders) -> None:
        self._inheritance, self._secrets, self._folders = inheritance, secrets, folders

    async def before_open(self, seat: Seat) -> None:
        """Put in what the CLI inherits, beneath what is the agent's own; raises `Refused` for an unknown secret."""
        bare, own = self._inheritance.ours.bare(), seat.profile.env
        added = {name: value for name, value in seat.env.items() if name in own or name not in bare}
        seat.env = self._inheritance.of(seat.profile) | added | await self._secrets.filled(own)
        if _TEMPORARY not in own and not self._inheritance.ours.exact:
            seat.env[_TEMPORARY] = str(await self._folders.give(seat.agent_id))

    def session_ended(self, seat: Seat) -> Awaitable[None] | None:
        """Remove what the CLI, and all that it started, left in its folder for temporary files."""
        return self._folders.take_back(seat.agent_id)
