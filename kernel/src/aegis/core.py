"""The mechanisms beneath the agents, each whole; `app.Kernel` adds who is alive and what may be done."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import trio

from aegis.bus import Bus
from aegis.clock import Clock
from aegis.config import Config
from aegis.events import Fault
from aegis.interceptors import Interceptors
from aegis.ledger import Ledger
from aegis.mail import Post
from aegis.plugins import Plugins
from aegis.project import Project
from aegis.supervise import Supervisor


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Core:
    """What the roster builds on; `base` is the nursery that outlives the agents, `environment` what CLIs inherit."""

    project: Project
    plugins: Plugins
    config: Config
    clock: Clock
    bus: Bus
    ledger: Ledger
    post: Post
    interceptors: Interceptors
    supervisor: Supervisor
    base: trio.Nursery
    environment: Mapping[str, str]

    @property
    def faults(self) -> deque[Fault]:
        """The last faults; `bus.report` adds one."""
        return self.bus.faults
