"""The one composition root: every entry point and every test builds its kernel here, whole."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

from aegis.bus import Bus
from aegis.clock import Clock, WallClock, stamp
from aegis.config import Config
from aegis.driver import Driver
from aegis.events import Fault, TurnEnded
from aegis.interceptors import Interceptors
from aegis.ledger import Ledger
from aegis.mail import Letter, Post
from aegis.plugins import Plugins
from aegis.primitive import Restores, Runs
from aegis.project import FILE, Project
from aegis.reducer import Reducer
from aegis.roster import Roster
from aegis.supervise import Supervisor, first_of, root_cause
from aegis.verbs import Verbs
from aegis.yamlfile import YamlFile

INTERRUPTED = "aegis stopped while this turn ran"
_START = 15.0  # seconds a surface has to let callers in


class Faults(list[Fault]):
    """The last hundred faults; each is published when it is reported."""

    def __init__(self, bus: Bus) -> None:
        super().__init__()
        self._bus = bus

    def report(self, fault: Fault) -> None:
        """Keep the fault and show it."""
        self.append(fault)
        del self[:-100]
        self._bus.publish("", fault)


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """What plugins are handed: the mechanisms, each whole."""

    project: Project
    plugins: Plugins
    config: Config
    clock: Clock
    bus: Bus
    ledger: Ledger
    post: Post
    roster: Roster
    verbs: Verbs
    interceptors: Interceptors
    supervisor: Supervisor
    drivers: Mapping[str, Driver]
    faults: Faults
    reducers: dict[str, Reducer] = field(default_factory=dict)
    quit: trio.Event = field(default_factory=trio.Event)

    def snapshot(self) -> dict[str, Any]:
        """Return the public face: what a screen needs to start drawing."""
        return {
            "root": str(self.project.root), "pid": os.getpid(), "agents": self.roster.snapshot(),
            "faults": [{"source": f.source, "error": f.error, "final": f.final} for f in self.faults],
            "default_agent": self.config.default_agent,
        }  # fmt: skip


@asynccontextmanager
async def open_kernel(
    root: Path,
    *,
    plugins: Mapping[str, object] | None = None,
    clock: Clock | None = None,
    environment: Mapping[str, str] | None = None,
    clean: bool = False,
) -> AsyncIterator[Kernel]:
    """Enter a running kernel for the project; leaving it takes under two seconds and leaves no process.

    `plugins` are exactly those to use (default: all installed and not disabled), `environment` is what CLIs inherit
    (default: this process's), `clean` closes the agents of the last time. Raises `ConfigError`, `Busy`, `LedgerError`.
    """
    project = Project(root.resolve())
    disabled = (YamlFile(project.root / FILE).load()[1].get("plugins") or {}).get("disabled") or ()
    found = Plugins(disabled, plugins)
    drivers: dict[str, Driver] = found.unique("aegis_drivers", "driver", settings={})
    drivers |= {alias: d for d in drivers.values() for alias in getattr(d, "aliases", ())}
    declared = {name: dict(sections) for name, sections in found.ask("aegis_settings")}
    config = Config(project.root, {k: v for owned in declared.values() for k, v in owned.items()}, drivers, found.names)
    project.prepare()
    with project.locked():
        disk = trio.CancelScope(shield=True)  # an owner that is cancelled must not stop the ledger before the agents
        try:
            async with trio.open_nursery() as base:  # outlives the agents: the ledger takes what they say as they end
                try:
                    async with trio.open_nursery() as work:
                        parts = project, found, config, drivers, clock or WallClock(), environment
                        kernel = _compose(*parts, base, work)
                        base.start_soon(_within, disk, kernel.ledger.run)
                        await _furnish(kernel, declared)
                        await _revive(kernel, clean=clean)
                        yield kernel
                        await kernel.roster.leave()  # agents first: surfaces and records see their end
                        work.cancel_scope.cancel()
                finally:
                    base.cancel_scope.cancel()
                    disk.cancel()
        except BaseExceptionGroup as group:
            failure = group.split(trio.Cancelled)[1]
            if failure is None:
                raise
            cause = root_cause(failure)
            raise cause from cause.__cause__


async def _within(scope: trio.CancelScope, run: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await run()


def _compose(
    project: Project,
    plugins: Plugins,
    config: Config,
    drivers: dict[str, Driver],
    clock: Clock,
    environment: Mapping[str, str] | None,
    base: trio.Nursery,
    work: trio.Nursery,
) -> Kernel:
    def now() -> str:
        return stamp(clock.now())

    faults = Faults(bus := Bus())
    ledger = Ledger(project.state / "ledger.db", now)
    post = Post(ledger, bus, clock)
    interceptors = Interceptors(faults.report)
    supervisor = Supervisor(work, faults.report)
    roster = Roster(
        root=project.root, state=project.state, ledger=ledger, post=post, bus=bus, clock=clock, supervisor=supervisor,
        interceptors=interceptors, nursery=base, profile=config.profile,
        environment=dict(os.environ if environment is None else environment),
    )  # fmt: skip
    verbs = Verbs(interceptors, lambda event: bus.publish("", event))
    verbs.complete_with("handle", lambda: sorted(roster.live()))
    verbs.complete_with("profile", config.names)
    return Kernel(
        project, plugins, config, clock, bus, ledger, post, roster, verbs, interceptors, supervisor, drivers, faults,
    )  # fmt: skip


async def _furnish(kernel: Kernel, declared: Mapping[str, Mapping[str, Any]]) -> None:
    """Ask each plugin for what it offers and start it; a plugin that fails is reported and left out."""

    def asked(hook: str) -> Any:
        for name in kernel.plugins.names:
            settings = {section: kernel.config.section(section) for section in declared.get(name, {})}
            yield from kernel.plugins.offers(hook, only=name, kernel=kernel, settings=settings)

    kernel.reducers.update(kernel.plugins.unique("aegis_reducers", "reducer"))
    for name, interceptor in asked("aegis_interceptors"):
        if _welcome(kernel, name, interceptor):
            kernel.interceptors.add(interceptor)
    for name, primitive in asked("aegis_primitives"):
        if _welcome(kernel, name, primitive) and isinstance(primitive, Runs):
            kernel.supervisor.start(name, primitive.run, on_down=partial(kernel.verbs.remove, name))
    for name, service in asked("aegis_frontends"):
        started = trio.Event()
        _welcome(kernel, name, service)
        child = kernel.supervisor.start(name, partial(service.run, started), on_down=partial(kernel.verbs.remove, name))
        with trio.move_on_after(_START) as scope:
            await first_of(started, child.over)
        if scope.cancelled_caught:
            kernel.faults.report(Fault(name, f"did not come up within {_START:g} s", final=True))


def _welcome(kernel: Kernel, plugin: str, thing: object) -> bool:
    """Offer the verbs of what a plugin offers and rebuild its state; a failure is that plugin's end, and is said."""
    try:
        kernel.verbs.add(plugin, thing)
        if isinstance(thing, Restores):
            thing.restore()
    except Exception as error:  # whatever a plugin raises must not stop the others
        kernel.verbs.remove(plugin, str(error))
        kernel.plugins.fail(plugin, error)
        kernel.faults.report(Fault(plugin, str(error), final=True))
        return False
    return True


async def _revive(kernel: Kernel, *, clean: bool) -> None:
    """Bring agents and mail back, and tell those who waited for a turn that the last kernel's end cut off."""
    flying = kernel.post.restore()
    await kernel.roster.restore(kernel.faults.report)
    turns: dict[str, list[Letter]] = {}
    for letter in flying:
        turns.setdefault(letter.turn, []).append(letter)
    for turn, letters in turns.items():
        await kernel.post.ended(letters, TurnEnded("interrupted", turn, reason=INTERRUPTED), tell=True)
    if clean:
        for agent in kernel.roster:
            await kernel.roster.close(agent, "started clean")


def settle_memory() -> None:
    """Make what is alive now permanent, so that the cyclic collector's pauses stay short in a long run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
