"""The one composition root: every entry point and every test builds its kernel here, whole."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from aegis.bus import Bus
from aegis.clock import Clock, WallClock, stamp
from aegis.config import FILE, Config
from aegis.driver import Driver
from aegis.errors import AegisError
from aegis.events import Event, Fault, TurnEnded
from aegis.interceptors import Interceptors
from aegis.jsonlines import Appender
from aegis.ledger import Ledger
from aegis.mail import Letter, Post
from aegis.plugins import Plugins
from aegis.primitive import Restores, Runs
from aegis.project import Project
from aegis.reducer import Reducer
from aegis.roster import Roster
from aegis.supervise import Supervisor, first_of
from aegis.transcripts import Transcripts
from aegis.verbs import Verbs
from aegis.yamlfile import YamlFile

INTERRUPTED = "aegis stopped while this turn ran"
_START = 15.0  # seconds a surface has to let callers in


@dataclass(frozen=True, slots=True)
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
    transcripts: Transcripts
    appender: Appender
    supervisor: Supervisor
    drivers: Mapping[str, Driver]
    reducers: dict[str, Reducer] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
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
    sections = {section: model for owned in declared.values() for section, model in owned.items()}
    config = Config(project.root, sections, drivers, found.names)
    clock = clock or WallClock()
    bus = Bus()
    faults: list[Fault] = []

    def report(fault: Fault) -> None:
        faults.append(fault)
        del faults[:-100]
        bus.publish("", fault)

    def publish(event: Event) -> None:
        bus.publish("", event)

    def now() -> str:
        return stamp(clock.now())

    project.prepare()
    with project.locked():
        ledger = Ledger(project.state / "ledger.db", now)
        appender = Appender(project.state, report)
        async with trio.open_nursery() as base:
            base.start_soon(ledger.run)
            base.start_soon(appender.run)
            try:
                async with trio.open_nursery() as work:
                    post = Post(ledger, bus, clock)
                    interceptors = Interceptors(report)
                    transcripts = Transcripts(appender, now)
                    supervisor = Supervisor(work, report)
                    roster = Roster(
                        root=project.root, state=project.state, ledger=ledger, post=post, bus=bus, clock=clock,
                        interceptors=interceptors, transcripts=transcripts, supervisor=supervisor, nursery=base,
                        profile=config.profile, environment=dict(os.environ if environment is None else environment),
                    )  # fmt: skip
                    verbs = Verbs(interceptors, publish)
                    verbs.complete_with("handle", lambda: sorted(roster.live()))
                    verbs.complete_with("profile", config.names)
                    kernel = Kernel(
                        project, found, config, clock, bus, ledger, post, roster, verbs, interceptors,
                        transcripts, appender, supervisor, drivers, faults=faults,
                    )  # fmt: skip
                    await _furnish(kernel, declared, report)
                    await _revive(kernel, report, clean=clean)
                    yield kernel
                    work.cancel_scope.cancel()
            finally:
                base.cancel_scope.cancel()


async def _furnish(kernel: Kernel, declared: Mapping[str, Mapping[str, Any]], report: Any) -> None:
    """Ask each plugin for what it offers and start it; a plugin that fails is reported and left out."""

    def asked(hook: str) -> Any:
        for name in kernel.plugins.names:
            settings = {section: kernel.config.section(section) for section in declared.get(name, {})}
            yield from kernel.plugins.offers(hook, only=name, kernel=kernel, settings=settings)

    kernel.reducers.update(kernel.plugins.unique("aegis_reducers", "reducer"))
    for _, interceptor in asked("aegis_interceptors"):
        kernel.interceptors.add(interceptor)
    for name, primitive in asked("aegis_primitives"):
        try:
            kernel.verbs.add(name, primitive)
            if isinstance(primitive, Restores):
                primitive.restore()
        except Exception as error:  # a plugin's fault is that plugin's end, and is said
            kernel.verbs.remove(name, str(error))
            kernel.plugins.fail(name, error)
            report(Fault(name, str(error), final=True))
            continue
        if isinstance(primitive, Runs):
            kernel.supervisor.start(name, primitive.run, on_down=lambda why, name=name: kernel.verbs.remove(name, why))
    for name, service in list(asked("aegis_frontends")):
        started = trio.Event()
        child = kernel.supervisor.start(name, lambda service=service, started=started: service.run(started))
        with trio.move_on_after(_START) as scope:
            await first_of(started, child.over)
        if scope.cancelled_caught or child.down:
            report(Fault(name, child.down or f"did not come up within {_START:g} s", final=True))


async def _revive(kernel: Kernel, report: Any, *, clean: bool) -> None:
    """Bring agents and mail back, and tell those who waited for a turn that the last kernel's end cut off."""
    flying = kernel.post.restore()
    await kernel.roster.restore(report)
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


__all__ = ["AegisError", "Kernel", "open_kernel", "settle_memory"]
