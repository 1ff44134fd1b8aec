"""Where a project keeps what aegis needs: configuration, state folder, lock, and the folder of its sockets."""

from __future__ import annotations

from aegis.errors import AegisError, Busy, ConfigError, Refused
from aegis_private.state import State

FILE = ".aegis.yaml"


class Untrusted(Refused, ConfigError):
    """Nobody has said that what the project says may run."""


class Project(State):
    """One folder with an `.aegis.yaml` or an `.aegis/` in it, or that will have one."""

    name, settings, inside, lock = "aegis", FILE, (".aegis", "state"), "kernel.lock"
    refused, failed, busy = Refused, AegisError, Busy
    __slots__ = ()
