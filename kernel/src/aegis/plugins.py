"""Plugins: stevedore finds them, by name and before import; pluggy calls them; a broken one is named, the rest run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from pydantic import TypeAdapter
from stevedore import NamedExtensionManager
from stevedore.extension import ExtensionManager

from aegis import hookspecs
from aegis.errors import AegisError, ConfigError

GROUP = "aegis.plugins"
ONLY = "AEGIS_PLUGINS"  # `AEGIS_PLUGINS=inbox,mcp` narrows what is loaded; empty loads nothing


@dataclass(frozen=True, slots=True)
class Found:
    """One installed plugin and what became of it: `loaded`, `disabled` or `failed`."""

    name: str
    distribution: str
    version: str
    state: str
    error: str = ""
    hooks: tuple[str, ...] = ()


class Plugins:
    """The plugins of one kernel."""

    def __init__(self, disabled: Collection[str] = (), given: Mapping[str, object] | None = None) -> None:
        """Load every installed plugin that is not disabled, or exactly the `given` ones (tests name theirs)."""
        self._manager = pluggy.PluginManager("aegis")
        self._manager.add_hookspecs(hookspecs)
        self._points: dict[str, EntryPoint] = {}
        self._errors: dict[str, str] = {}
        for name, plugin in (self._load(disabled) if given is None else dict(given)).items():
            self._register(name, plugin)
        self.names = sorted(name for name, _ in self._manager.list_name_plugin())

    def _load(self, disabled: Collection[str]) -> dict[str, object]:
        for point in entry_points(group=GROUP):
            if self._points.setdefault(point.name, point).value != point.value:
                self._errors[point.name] = "two distributions install a plugin of this name; the second was not loaded"
        only = os.environ.get(ONLY)
        wanted = set(self._points) if only is None else set(filter(None, only.split(",")))
        # stevedore's own disk cache goes by mtimes rounded to 128 s and can be stale: it is given the exact list
        ExtensionManager.ENTRY_POINT_CACHE[GROUP] = list(self._points.values())
        found: NamedExtensionManager[Any] = NamedExtensionManager(
            GROUP,
            sorted(wanted - set(disabled)),
            on_load_failure_callback=lambda _, point, error: self.fail(point.name, error),
            on_missing_entrypoints_callback=lambda names: self._errors.update(  # it counts those that failed as missing
                dict.fromkeys(names - self._errors.keys(), "it is not installed")
            ),
        )
        return {str(e.name): e.plugin for e in sorted(found, key=lambda e: str(e.name))}

    def _register(self, name: str, plugin: object) -> None:
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()  # a misspelt hook is an error
        except (pluggy.PluginValidationError, ValueError) as error:
            self._errors[name] = str(error).strip().splitlines()[-1]
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)

    def fail(self, name: str, error: BaseException) -> None:
        """Record that a plugin did not do its part."""
        self._errors[name] = str(error) if isinstance(error, AegisError) else f"{type(error).__name__}: {error}"

    def ask(self, hook: str, only: str = "", **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Yield (plugin, what it returned), each asked by itself; one that raises is reported and passed over."""
        for name in [only] if only else self.names:
            others = [p for n, p in self._manager.list_name_plugin() if n != name]
            try:
                results = self._manager.subset_hook_caller(hook, remove_plugins=others)(**arguments)
            except ConfigError:  # a mistake in the file stops the start, whoever finds it
                raise
            except Exception as error:  # a plugin's hook raised: naming it and going on is the job here
                self.fail(name, error)
            else:
                yield from ((name, result) for result in results)

    def offers(self, hook: str, only: str = "", **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Yield (plugin, object) for each object the plugins return; an iterable that breaks is reported."""
        for name, things in self.ask(hook, only, **arguments):
            try:
                offered = list(things)
            except Exception as error:  # a hook may be a generator, and raise only here
                self.fail(name, error)
            else:
                yield from ((name, thing) for thing in offered)

    def sections(self) -> dict[str, dict[str, TypeAdapter[Any]]]:
        """Return each plugin's sections of the configuration and their types; raises `ConfigError` when two own one."""
        found: dict[str, dict[str, TypeAdapter[Any]]] = {}
        owners: dict[str, str] = {}
        for name, models in list(self.ask("aegis_settings")):
            try:
                found[name] = {str(section): TypeAdapter(model) for section, model in dict(models).items()}
            except Exception as error:  # without its settings a plugin is not started
                self.fail(name, error)
                self._manager.unregister(name=name)
                self.names.remove(name)
                continue
            for section in found[name]:
                if (other := owners.setdefault(section, name)) != name:
                    both = f"plugins {other!r} and {name!r} both own the section {section!r}"
                    raise ConfigError(f"{both}; disable one of them under plugins.disabled in .aegis.yaml")
        return found

    def unique(self, hook: str, what: str, **arguments: Any) -> dict[str, Any]:
        """Return the offered objects by name; raises `ConfigError` naming both plugins when two offer one name."""
        found: dict[str, tuple[str, Any]] = {}
        for plugin, thing in self.offers(hook, **arguments):
            name = getattr(thing, "name", None)
            if not isinstance(name, str):
                self.fail(plugin, AegisError(f"{hook} returned {thing!r}, a {what} without a name"))
                continue
            if name in found:
                both = f"plugins {found[name][0]!r} and {plugin!r} both offer the {what} {name!r}"
                raise ConfigError(f"{both}; disable one of them under plugins.disabled in .aegis.yaml")
            found[name] = (plugin, thing)
        return {name: thing for name, (_, thing) in found.items()}

    def report(self) -> list[Found]:
        """Return every installed or asked-for plugin and its state."""
        rows = []
        for name in sorted({*self._points, *self.names, *self._errors}):
            dist = self._points[name].dist if name in self._points else None
            state = "failed" if name in self._errors else "loaded" if name in self.names else "disabled"
            callers = self._manager.get_hookcallers(self._manager.get_plugin(name)) or () if name in self.names else ()
            where = (dist.name, dist.version) if dist else ("", "")
            rows.append(Found(name, *where, state, self._errors.get(name, ""), tuple(sorted(h.name for h in callers))))
        return rows
