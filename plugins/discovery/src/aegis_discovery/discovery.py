"""stevedore finds plugins, by name and before import; pluggy calls them; a broken one is named, the rest run.

A plugin may publish hooks of its own: it implements `<project>_hookspecs()`, which returns an object whose methods are
marked as specs. Others implement those with `optionalhook=True`; any other hook that nobody publishes is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from itertools import chain
from typing import Any

import pluggy
from stevedore import NamedExtensionManager
from stevedore.extension import ExtensionManager


class PluginError(Exception):
    """A plugin cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Found:
    """One installed plugin and what became of it: `loaded`, `disabled` (or left since) or `failed`."""

    name: str
    distribution: str
    version: str
    state: str
    error: str = ""
    hooks: tuple[str, ...] = ()


class Discovery:
    """The plugins that are installed, those of them that are here, and what each answers to a hook."""

    def __init__(
        self,
        project: str,
        group: str,
        specs: object,
        *,
        disabled: Collection[str] = (),
        only: Collection[str] | None = None,
        given: Mapping[str, object] | None = None,
        error: type[Exception] = PluginError,
    ) -> None:
        """Load every plugin of the entry-point group that is not disabled, or exactly the `given` ones.

        `project` is pluggy's name for the markers, `specs` the module with its hooks; `only` narrows what is loaded;
        `error` is raised here, and the text of such errors stands for itself in reports.
        """
        self._project, self._group, self._specs, self._error = project, group, specs, error
        self._given = given
        self._points: dict[str, EntryPoint] = {}
        self._errors: dict[str, str] = {}
        self._here = self._load(only, disabled) if given is None else dict(given)
        self._build(list(self._here))

    def _load(self, only: Collection[str] | None, disabled: Collection[str] = ()) -> dict[str, object]:
        for point in entry_points(group=self._group):
            if self._points.setdefault(point.name, point).value != point.value:
                self._errors[point.name] = "two distributions install a plugin of this name; the second was not loaded"
        wanted = set(self._points) if only is None else set(only)
        # stevedore's own disk cache goes by mtimes rounded to 128 s and can be stale: it is given the exact list
        ExtensionManager.ENTRY_POINT_CACHE[self._group] = list(self._points.values())
        found: NamedExtensionManager[Any] = NamedExtensionManager(
            self._group,
            sorted(wanted - set(disabled)),
            on_load_failure_callback=lambda _, point, error: self.fail(point.name, error),
            on_missing_entrypoints_callback=lambda names: self._errors.update(  # it counts those that failed as missing
                dict.fromkeys(names - self._errors.keys(), "it is not installed")
            ),
        )
        return {str(e.name): e.plugin for e in sorted(found, key=lambda e: str(e.name))}

    def _build(self, new: Collection[str]) -> None:
        """Register those that are here, with the hooks that the kernel and they themselves publish."""
        self._hooks: dict[str, tuple[str, Any]] = {}
        self._publish("", self._specs)
        self._manager = self._managing(())
        for name in self.names:
            try:
                for published in self.answers(f"{self._project}_hookspecs", name):
                    self._publish(name, published)
            except Exception as error:  # a plugin raised
                self._lose(name, error)
        self._manager = self._managing(new)

    def _publish(self, name: str, published: Any) -> None:
        for hook in dir(published):
            if not hasattr(getattr(published, hook), f"{self._project}_spec"):
                continue
            if hook in self._hooks:
                both = f"plugins {self._hooks[hook][0] or 'kernel'!r} and {name!r} both offer the hook {hook!r}"
                raise self._error(f"{both}; disable one of them")
            self._hooks[hook] = name, published

    def hooks(self) -> dict[str, str]:
        """Return who publishes each hook; empty: the project itself."""
        return {hook: name for hook, (name, _) in sorted(self._hooks.items())}

    def _managing(self, new: Collection[str]) -> pluggy.PluginManager:
        """Return a manager of those that are here; the new ones are lost when they use a hook that nobody publishes."""
        manager = pluggy.PluginManager(self._project)
        for published in {id(p): p for _, p in self._hooks.values()}.values():
            manager.add_hookspecs(published)
        for name, plugin in list(self._here.items()):
            try:
                manager.register(plugin, name=name)
                asked = [hook for hook in manager.get_hookcallers(plugin) or () if name in new and not hook.has_spec()]
                every = [(hook.name, impl) for hook in asked for impl in hook.get_hookimpls() if impl.plugin is plugin]
                if unknown := [hook for hook, impl in every if not impl.optionalhook]:
                    raise self._error(f"it implements {unknown[0]!r}, a hook that nobody here publishes")
            except (pluggy.PluginValidationError, ValueError, self._error) as error:
                if manager.has_plugin(name):
                    manager.unregister(name=name)
                if name in new:
                    self._lose(name, self._error(str(error).strip().splitlines()[-1]))
        return manager

    def _lose(self, name: str, error: BaseException) -> None:
        self.fail(name, error)
        del self._here[name]

    @property
    def names(self) -> list[str]:
        """The plugins that are here."""
        return sorted(self._here)

    @property
    def installed(self) -> list[str]:
        """The plugins that can be loaded."""
        return sorted(self._points if self._given is None else self._given)

    def load(self, name: str, plugin: object | None = None) -> None:
        """Have this plugin here: the given object, or the installed one; raises the error."""
        self._errors.pop(name, None)
        if plugin is None and self._given is not None:
            plugin = self._given.get(name)
        found = self._load([name]) if plugin is None else {name: plugin}
        self._here |= found
        self._build([name])
        if name not in self._here:
            why = self._errors.get(name, "it is not installed")
            raise self._error(f"the plugin {name!r} cannot be used: {why}")

    def drop(self, name: str) -> None:
        """Have this plugin here no more."""
        if self._here.pop(name, None) is not None:
            self._build(())

    def fail(self, name: str, error: BaseException) -> None:
        """Record that a plugin did not do its part."""
        self._errors[name] = str(error) if isinstance(error, self._error) else f"{type(error).__name__}: {error}"

    def answers(self, hook: str, name: str, **arguments: Any) -> list[Any]:
        """Return what one plugin returns from its implementations of a hook; raises what they raise."""
        others = [plugin for other, plugin in self._manager.list_name_plugin() if other != name]
        return list(self._manager.subset_hook_caller(hook, remove_plugins=others)(**arguments))

    def offers(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Yield (plugin, object) for each object the plugins return; one that raises is reported and passed over."""
        for name in self.names:
            try:  # an implementation may be a generator, and raise only here
                offered = list(chain.from_iterable(self.answers(hook, name, **arguments)))
            except Exception as error:  # naming the plugin and going on is the job here
                self.fail(name, error)
            else:
                yield from ((name, thing) for thing in offered)

    def report(self) -> list[Found]:
        """Return every installed or asked-for plugin and its state."""
        rows = []
        for name in sorted({*self._points, *self._here, *self._errors}):
            dist = self._points[name].dist if name in self._points else None
            state = "failed" if name in self._errors else "loaded" if name in self._here else "disabled"
            callers = self._manager.get_hookcallers(self._here[name]) or () if name in self._here else ()
            where = (dist.name, dist.version) if dist else ("", "")
            rows.append(Found(name, *where, state, self._errors.get(name, ""), tuple(sorted(h.name for h in callers))))
        return rows
