"""The plugins of a running kernel: they enter and leave while it runs, and what one added goes with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from pydantic import TypeAdapter

from aegis import hookspecs
from aegis.driver import Driver
from aegis.errors import AegisError, ConfigError, NotFound, Refused, listed
from aegis.events import Fault, PluginsChanged
from aegis.primitive import Restores, Runs
from aegis.project import FILE
from aegis.registry import Owner, Registry, acting
from aegis_discovery.discovery import Discovery, Found
from aegis_processes.cancellation import done_in, first_of
from aegis_yamlfile.yamlfile import YamlFile

if TYPE_CHECKING:
    from aegis.app import Kernel

GROUP = "aegis.plugins"
ONLY = "AEGIS_PLUGINS"  # `AEGIS_PLUGINS=inbox,mcp` narrows what is loaded; empty loads nothing
_START = 15.0  # seconds a surface has to let callers in


def discovered(disabled: Collection[str] = (), given: Mapping[str, object] | None = None) -> Discovery:
    """Return the installed plugins that are not disabled, or exactly the `given` ones (tests name theirs)."""
    narrowed = os.environ.get(ONLY)
    only = None if narrowed is None else list(filter(None, narrowed.split(",")))
    return Discovery("aegis", GROUP, hookspecs, disabled=disabled, only=only, given=given, error=AegisError)


def declare(
    found: Discovery, names: Iterable[str], drivers: Registry[Driver], sections: Registry[TypeAdapter[Any]]
) -> None:
    """Put the drivers and sections of these plugins into the registries; one that cannot say its own is lost."""
    for name in list(names):
        try:
            for driver in chain.from_iterable(found.answers("aegis_drivers", name)):
                drivers.add(named(driver, "driver"), driver, name)
            for models in found.answers("aegis_settings", name):
                for section, model in dict(models).items():
                    sections.add(str(section), TypeAdapter(model), name)
        except Exception as error:  # whatever it returned, or raised, that is none of this
            found.fail(name, error)
            drivers.remove(name)
            sections.remove(name)
            found.drop(name)


def disabled_in(root: Path, file: YamlFile | None = None) -> set[str]:
    """Return the plugins that the project's file disables; what else is wrong in it `Config` says."""
    section = (file or YamlFile(root / FILE, ConfigError)).load()[1].get("plugins")
    names = section.get("disabled") if isinstance(section, dict) else ()
    return set(map(str, names)) if isinstance(names, list) else set()


def named(thing: Any, what: str) -> str:
    """Return the name of what a plugin offers; raises `AegisError` when it has none."""
    name = getattr(thing, "name", None)
    if not isinstance(name, str):
        raise AegisError(f"it offers {thing!r} as a {what}, which has no name")
    return name


@dataclass(slots=True)
class _Collection:
    into: Registry[Any]
    name_of: Callable[[Any], str]


class Plugins:
    """Which plugins are here, and the way in and out."""

    def __init__(self, kernel: Kernel, found: Discovery) -> None:
        self._kernel, self.found = kernel, found
        self._collected: Registry[_Collection] = Registry("collected hook")
        self._entered: dict[str, Owner] = {}
        self._failed: dict[str, str] = {}
        self._changing = trio.Lock()

    @property
    def names(self) -> list[str]:
        """The plugins that are here."""
        return self.found.names

    def report(self) -> list[Found]:
        """Return every installed or asked-for plugin and its state."""
        return self.found.report()

    def collect(self, hook: str, into: Registry[Any], name_of: Callable[[Any], str] | None = None) -> None:
        """Keep in the registry what plugins return from the hook: those that are here, and those that will be.

        `name_of` says under which name (default: its `name`). It ends when the plugin that collects leaves.
        """
        self._collected.add(hook, _Collection(into, name_of or partial(named, what=into.what)))
        for name in sorted(self._entered):
            with self._blamed(name):
                self._gather(name, hook)

    def _gather(self, name: str, hook: str) -> None:
        found = self._collected[hook]
        for thing in chain.from_iterable(self.found.answers(hook, name)):
            found.into.add(found.name_of(thing), thing, name)

    async def start(self) -> None:
        """Let everything in that was found; a plugin that fails is reported and left out, the rest go on."""
        await self._furnish(self.names)

    async def enter(self, name: str, plugin: object | None = None) -> None:
        """Let in an installed plugin (or this object) while the kernel runs; all of it is there when this returns.

        Once begun it is done. Raises `NotFound`, `Refused` when it is here, or `AegisError` with why it was left out.
        """
        await done_in(self._kernel.base, partial(self._enter, name, plugin))

    async def leave(self, name: str) -> None:
        """Take back all that the plugin added and end what it runs, its own caller too; raises `NotFound`."""
        await done_in(self._kernel.base, partial(self._leave, name))

    async def _enter(self, name: str, plugin: object | None) -> None:
        async with self._changing:
            if name in self.names:
                raise Refused(f"the plugin {name!r} is here already")
            config = self._kernel.config
            try:
                self.found.load(name, plugin)
            except AegisError as error:
                raise (AegisError if plugin or name in self.found.installed else NotFound)(str(error)) from None
            self._failed.pop(name, None)
            declare(self.found, [name], self._kernel.drivers, config.sections)
            try:
                config.check_again()
            except ConfigError as error:  # its own section is wrong: it cannot be used with it
                self._fail(name, error)
            else:
                await self._furnish([name] if name in self.names else [])
            if why := self._failed.get(name) or next((f.error for f in self.report() if f.name == name), ""):
                await self._withdraw(name, why)
                raise AegisError(f"the plugin {name!r} was left out: {why}")
            self._kernel.roster.begin(self._kernel.roster.bring_back())
            self._kernel.bus.publish("", PluginsChanged(entered=(name,)))

    async def _leave(self, name: str) -> None:
        async with self._changing:
            if name not in self.names:
                raise NotFound(f"the plugin {name!r} is not here (there are: {listed(self.names)})")
            await self._withdraw(name)
            self._kernel.bus.publish("", PluginsChanged(left=(name,)))

    def registries(self) -> list[Registry[Any]]:
        """Return every registry in which plugins own things, those that plugins collect into among them."""
        verbs, collected = self._kernel.verbs, [c.into for c in self._collected.values()]
        own = [self._kernel.drivers, self._kernel.config.sections, verbs.verbs, verbs.tools, verbs.completers]
        own += [self._kernel.post.carriers, self._kernel.post.caps, self._kernel.bus.replayers]
        own.append(self._kernel.config.remarkers)
        return [*collected, *own, self._collected]

    async def _furnish(self, names: Collection[str]) -> None:
        """Ask each for what it offers, hook by hook, and start it."""
        kernel, steps = self._kernel, (self._intercept, self._run, self._serve)
        self._entered |= {name: Owner(name) for name in names}
        for hook in list(self._collected):
            for name in names:
                with self._blamed(name):
                    self._gather(name, hook)
        for hook, begin in zip(("aegis_interceptors", "aegis_primitives", "aegis_frontends"), steps, strict=True):
            for name in [n for n in names if n not in self._failed]:
                with self._blamed(name):
                    settings = kernel.config.of(name)
                    for thing in chain.from_iterable(self.found.answers(hook, name, kernel=kernel, settings=settings)):
                        kernel.verbs.add(self._entered[name], thing)
                        if isinstance(thing, Restores):
                            thing.restore()
                        await begin(name, thing)
        for name in [n for n in names if n in self._failed]:
            await self._withdraw(name, self._failed[name])

    async def _intercept(self, name: str, interceptor: Any) -> None:
        self._kernel.interceptors.add(interceptor)

    async def _run(self, name: str, primitive: Any) -> None:
        if isinstance(primitive, Runs):
            down = partial(self._kernel.verbs.remove, name)
            self._kernel.supervisor.start(f"{name}.{primitive.name}", primitive.run, on_down=down)

    async def _serve(self, name: str, service: Any) -> None:
        started, down = trio.Event(), partial(self._kernel.verbs.remove, name)
        run = partial(service.run, started)
        child = self._kernel.supervisor.start(f"{name}.{service.name}", run, on_down=down)
        with trio.move_on_after(_START) as scope:
            await first_of(started, child.over)
        if scope.cancelled_caught:
            self._kernel.bus.report(Fault(name, f"did not come up within {_START:g} s", final=True))

    @contextmanager
    def _blamed(self, name: str) -> Iterator[None]:
        """Have what is registered inside belong to the plugin, and make what is raised the end of it, said."""
        try:
            with acting(self._entered[name]):
                yield
        except ConfigError:  # a mistake in the file stops the start, whoever finds it
            raise
        except Exception as error:  # whatever a plugin raises must not stop the others
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> None:
        self.found.fail(name, error)
        self._failed[name] = str(error)
        self._kernel.bus.report(Fault(name, str(error), final=True))

    async def _withdraw(self, name: str, why: str = "") -> None:
        """Take back what the plugin added; with `why` its verbs say it, and its strict interceptors go on refusing."""
        kernel = self._kernel
        self._entered.pop(name, Owner()).left = True
        kernel.verbs.remove(name, why)
        drivers = [d for n, d in kernel.drivers.items() if kernel.drivers.owners()[n] == name]
        kernel.drivers.remove(name)  # before their agents end: no other is started with them meanwhile
        await kernel.roster.part_with(drivers)
        await kernel.supervisor.remove(name)
        kernel.interceptors.remove(name, strict=not why)
        kernel.ledger.remove(name)
        for registry in self.registries():
            registry.remove(name)
        self.found.drop(name)
        with suppress(ConfigError):  # an overlay that is wrong at this moment: the next reload says so
            kernel.config.check_again()
