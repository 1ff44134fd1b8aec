"""What a CLI is started with: its variables, and the secrets of its profile."""

from __future__ import annotations

from aegis import Seat
from aegis_environment.inheritance import Inheritance
from aegis_environment.secrets import Secrets


class Provide:
    """Gives each seat the variables its CLI inherits, and looks up the secrets that its profile names."""

    name = "environment"
    order = -100  # before anyone who looks at the variables, or adds some
    strict = True  # a CLI without its secret, or with a variable it must not have, is not started
    timeout = 60  # a source may be a program that asks another machine

    def __init__(self, inheritance: Inheritance, secrets: Secrets) -> None:
        self._inheritance, self._secrets = inheritance, secrets

    async def before_open(self, seat: Seat) -> None:
        """Put in what the CLI inherits, beneath what is the agent's own; raises `Refused` for an unknown secret."""
        bare, own = self._inheritance.ours.bare(), seat.profile.env
        added = {name: value for name, value in seat.env.items() if name in own or name not in bare}
        seat.env = self._inheritance.of(seat.profile) | added | await self._secrets.filled(own)
