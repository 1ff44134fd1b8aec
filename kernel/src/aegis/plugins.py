"""Plugins: stevedore finds them, by name and before import; pluggy calls them; a broken one is named, the rest run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from stevedore import NamedExtensionManager
from stevedore.extension import Extension, ExtensionManager

from aegis import hookspecs
from aegis.errors import AegisError, ConfigError

GROUP = "aegis.plugins"
ONLY = "AEGIS_PLUGINS"  # `AEGIS_PLUGINS=inbox,mcp` narrows what is loaded; empty loads nothing


@dataclass(frozen=True, slots=True)
class Found:
    """One installed plugin and what became of it."""

    name: str
    distribution: str
    version: str
    state: str  # loaded | disabled | failed
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
        if given is None:
            self._load(frozenset(disabled))
        for name, plugin in (given or {}).items():
            self._register(name, plugin)
        self.names = sorted(name for name, _ in self._manager.list_name_plugin())

    def _load(self, disabled: frozenset[str]) -> None:
        points = list(entry_points(group=GROUP))
        self._points = {p.name: p for p in points}
        doubled = {
            p.name for p in points if len({(q.value, q.dist and q.dist.name) for q in points if q.name == p.name}) > 1
        }
        only = os.environ.get(ONLY)
        wanted = set(self._points) if only is None else {n for n in only.split(",") if n}
        # stevedore's own disk cache goes by mtimes rounded to 128 s and can be stale: it is given the exact list
        ExtensionManager.ENTRY_POINT_CACHE[GROUP] = list(self._points.values())
        found = NamedExtensionManager(
            GROUP,
            sorted(wanted - disabled),
            on_load_failure_callback=self._failed,
            on_missing_entrypoints_callback=lambda missing: self._errors.update(
                dict.fromkeys(missing, "it is not installed")
            ),
        )
        for name in doubled:
            self._errors[name] = "two distributions install a plugin of this name; the second was not loaded"
        for extension in sorted(found, key=lambda e: str(e.name)):
            self._register_extension(extension)

    def _failed(self, _manager: object, point: EntryPoint, error: BaseException) -> None:
        self._errors[point.name] = f"{type(error).__name__}: {error}"

    def _register_extension(self, extension: Extension) -> None:
        self._register(str(extension.name), extension.plugin)

    def _register(self, name: str, plugin: object) -> None:
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()  # a misspelt hook is an error
        except (pluggy.PluginValidationError, ValueError) as error:
            self._errors[name] = str(error).strip().splitlines()[-1]
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)

    def ask(self, hook: str, only: str = "", **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Yield (plugin, what it returned), each asked by itself; one that raises is reported and passed over."""
        for name in [only] if only else self.names:
            plugin = self._manager.get_plugin(name)
            others = [p for n, p in self._manager.list_name_plugin() if n != name]
            try:
                results = self._manager.subset_hook_caller(hook, remove_plugins=others)(**arguments)
            except Exception as error:  # a plugin's hook raised: naming it and going on is the job here
                self._errors[name] = f"{hook}: {type(error).__name__}: {error}"
                continue
            assert plugin is not None
            for result in results:
                yield name, result

    def offers(self, hook: str, only: str = "", **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Yield (plugin, object) for each object the plugins return; an iterable that breaks is reported."""
        for name, things in self.ask(hook, only, **arguments):
            try:
                yield from [(name, thing) for thing in things]
            except TypeError as error:
                self._errors[name] = f"{hook} must return an iterable: {error}"

    def unique(self, hook: str, what: str, **arguments: Any) -> dict[str, Any]:
        """Return the offered objects by name; raises `ConfigError` naming both plugins when two offer one name."""
        found: dict[str, tuple[str, Any]] = {}
        for plugin, thing in self.offers(hook, **arguments):
            if thing.name in found:
                both = f"plugins {found[thing.name][0]!r} and {plugin!r} both offer the {what} {thing.name!r}"
                raise ConfigError(f"{both}; disable one of them under plugins.disabled in .aegis.yaml")
            found[thing.name] = (plugin, thing)
        return {name: thing for name, (_, thing) in found.items()}

    def fail(self, name: str, error: Exception) -> None:
        """Record that a plugin did not do its part."""
        self._errors[name] = f"{type(error).__name__}: {error}" if not isinstance(error, AegisError) else str(error)

    def report(self) -> list[Found]:
        """Return every installed or asked-for plugin and its state."""
        rows = []
        for name in sorted({*self._points, *self.names, *self._errors}):
            point = self._points.get(name)
            dist = point.dist if point else None
            state = "failed" if name in self._errors else "loaded" if name in self.names else "disabled"
            plugin = self._manager.get_plugin(name)
            callers = self._manager.get_hookcallers(plugin) if plugin else None
            hooks = tuple(sorted(h.name for h in callers or ()))
            rows.append(
                Found(
                    name,
                    dist.name if dist else "",
                    dist.version if dist else "",
                    state,
                    self._errors.get(name, ""),
                    hooks,
                )
            )
        return rows
