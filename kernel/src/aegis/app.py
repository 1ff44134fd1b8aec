"""The one composition root: every entry point and every test builds its kernel here, whole."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import InitVar, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from aegis.agent import INTERRUPTED
from aegis.bus import Bus
from aegis.callers import Caller
from aegis.client import LocalClient
from aegis.clock import Clock, stamp
from aegis.config import Config
from aegis.driver import Driver
from aegis.errors import AegisError, ConfigError
from aegis.events import Fault, TurnEnded
from aegis.interceptors import Interceptors
from aegis.ledger import Ledger
from aegis.mail import Post
from aegis.mailbox import Letter
from aegis.plugins import Plugins, declare, disabled_in, discovered
from aegis.project import FILE, Project, Untrusted
from aegis.redactor import Redactor
from aegis.reducer import Reducer
from aegis.registry import Registry
from aegis.roster import Roster
from aegis.supervise import Supervisor, root_cause
from aegis.verbs import Verbs
from aegis_discovery.discovery import Discovery
from aegis_processes.environment import Environment
from aegis_trust.settings_file import TrustedFile
from aegis_trust.trust import Trust


@dataclass(slots=True, eq=False, kw_only=True)
class Kernel:
    """What plugins are handed: every mechanism, each whole.

    `base` is the nursery that outlives the agents, `environment` what CLIs inherit from.
    """

    project: Project
    found: InitVar[Discovery]
    drivers: Registry[Driver]
    config: Config
    clock: Clock
    bus: Bus
    ledger: Ledger
    post: Post
    interceptors: Interceptors
    supervisor: Supervisor
    base: trio.Nursery
    environment: Environment
    redactor: Redactor
    trust: Trust
    roster: Roster = field(init=False)
    verbs: Verbs = field(init=False)
    plugins: Plugins = field(init=False)
    reducers: Registry[Reducer] = field(default_factory=lambda: Registry("reducer"))
    quit: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self, found: Discovery) -> None:
        self.roster, self.verbs, self.plugins = Roster(self), Verbs(self.interceptors, self.bus), Plugins(self, found)
        self.plugins.collect("aegis_reducers", self.reducers)
        self.verbs.complete_with("handle", lambda: sorted(self.roster.live()))
        self.verbs.complete_with("profile", self.config.names)

    @property
    def faults(self) -> deque[Fault]:
        """The last faults; `bus.report` adds one."""
        return self.bus.faults

    def client(self, caller: Caller) -> LocalClient:
        """Return a client in this process: what a frontend is built on."""
        return LocalClient(self, caller)

    def snapshot(self) -> dict[str, Any]:
        """Return the public view: what a screen needs to start drawing; every event up to `number` is in it."""
        view = {"number": self.bus.number, "root": str(self.project.root), "pid": os.getpid()}
        view |= {"default_agent": self.config.default_agent, "agents": self.roster.snapshot()}
        view["config"] = {"error": self.config.error, "remarks": self.config.remarks}
        return view | {"faults": [{"final": False, **msgspec.to_builtins(f)} for f in self.faults]}


@asynccontextmanager
async def open_kernel(
    root: Path,
    *,
    plugins: Mapping[str, object] | None = None,
    clock: Clock | None = None,
    environment: Mapping[str, str] | None = None,
    clean: bool = False,
    trusted: bool = False,
) -> AsyncIterator[Kernel]:
    """Enter a running kernel for the project; leaving it takes under two seconds and leaves no process.

    `plugins` are exactly those to use (default: all installed, not disabled), `environment` exactly what CLIs inherit
    (default: a plugin's choice); `clean` closes old agents; `trusted` answers for a project no person was asked about.
    Raises `ConfigError`, `Busy`, `LedgerError`, and `Untrusted` before anything of the project is believed.
    """
    project = Project(root.resolve())
    project.check()
    trust = Trust(project.root, FILE, Untrusted, vouched=trusted)
    found = discovered(disabled_in(project.root, TrustedFile(trust, ConfigError)), plugins)
    drivers, sections = Registry[Driver]("driver"), Registry[Any]("section")
    declare(found, found.names, drivers, sections)
    clock, redactor = clock or Clock(), Redactor()
    bus = Bus(cut=redactor.events)
    config = Config(project.root, sections, drivers, partial(bus.publish, ""), TrustedFile(trust, ConfigError))
    trust.claim(project.state, AegisError)
    project.prepare()
    disk = trio.CancelScope(shield=True)  # an owner that is cancelled must not stop the ledger before the agents
    try:
        with project.locked():
            trust.confirm(project.state, AegisError)
            bus.begin(project.first_number(int(clock.now().timestamp() * 1_000_000)))
            async with trio.open_nursery() as base:  # outlives the agents: the ledger takes what they say as they end
                try:
                    async with trio.open_nursery() as work:
                        ledger = Ledger(project.state / "ledger.db", lambda: stamp(clock.now()), redactor.json)
                        base.start_soon(_within, disk, ledger)
                        kernel = Kernel(
                            project=project, found=found, drivers=drivers, config=config, clock=clock, bus=bus,
                            ledger=ledger, post=Post(ledger, bus, clock), interceptors=Interceptors(bus), base=base,
                            supervisor=Supervisor(work, bus), environment=Environment(environment),
                            redactor=redactor, trust=trust,
                        )  # fmt: skip
                        kernel.interceptors.add(trust)  # no CLI starts with a file that has changed
                        config.remarkers.add("trust", lambda: trust.said, "")
                        await _revive(kernel, clean)
                        yield kernel
                        await kernel.roster.stop_all()  # agents first: surfaces and records see their end
                        work.cancel_scope.cancel()
                finally:
                    base.cancel_scope.cancel()
                    disk.cancel()
    except BaseExceptionGroup as group:
        if (failure := group.split(trio.Cancelled)[1]) is None:
            raise
        cause = root_cause(failure)
        raise cause from cause.__cause__


async def _within(scope: trio.CancelScope, ledger: Ledger) -> None:
    with scope:
        await ledger.run()


async def _revive(kernel: Kernel, clean: bool) -> None:
    """Bring mail and agents back before anyone is let in, then start them, and tell those whose turn was cut off."""
    turns: dict[str, list[Letter]] = {}
    for letter in kernel.post.restore():
        turns.setdefault(letter.turn, []).append(letter)
    agents = await kernel.roster.restore()
    await kernel.plugins.start()
    for turn, letters in turns.items():
        await kernel.post.ended(letters, TurnEnded("interrupted", turn, reason=INTERRUPTED), tell=True)
    for agent in agents if clean else ():
        await kernel.roster.close(agent, "started clean")
    kernel.supervisor.start("profiles", kernel.roster.follow_config)
    kernel.roster.begin(agents)
