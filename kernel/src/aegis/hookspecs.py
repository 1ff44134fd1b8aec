"""What a plugin may offer. Hooks are synchronous, called once when the plugin enters, and return objects.

An implementation takes only the arguments it needs. `settings` maps the sections that this plugin declared to what they
are at the moment one is looked up: keep the mapping, not a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from aegis.app import Kernel
    from aegis.driver import Driver
    from aegis.frontend import Console, Service
    from aegis.interceptors import Interceptor
    from aegis.primitive import Primitive
    from aegis.reducer import Reducer

hookspec = pluggy.HookspecMarker("aegis")
hookimpl = pluggy.HookimplMarker("aegis")


@hookspec
def aegis_settings() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Return the sections of `.aegis.yaml` this plugin owns: name (`queues`, or `plugins.canvas`) → pydantic type."""


@hookspec
def aegis_hookspecs() -> object:
    """Return an object with hook specs of the plugin's own, which it then collects (`kernel.plugins.collect`).

    Others implement them with `@hookimpl(optionalhook=True)`, so that they do without this plugin.
    """


@hookspec
def aegis_drivers() -> Iterable[Driver]:  # type: ignore[empty-body]
    """Return drivers, one for each provider's CLI; called before the configuration is read."""


@hookspec
def aegis_primitives(kernel: Kernel, settings: Mapping[str, Any]) -> Iterable[Primitive]:  # type: ignore[empty-body]
    """Return ways of working together: objects with verbs, not yet running."""


@hookspec
def aegis_frontends(kernel: Kernel, settings: Mapping[str, Any]) -> Iterable[Service]:  # type: ignore[empty-body]
    """Return surfaces that run inside the kernel for as long as it lives."""


@hookspec
def aegis_consoles() -> Iterable[Console]:  # type: ignore[empty-body]
    """Return surfaces at which a person sits, in any process that has a client."""


@hookspec
def aegis_reducers() -> Iterable[Reducer]:  # type: ignore[empty-body]
    """Return ways to fold many answers into one."""


@hookspec
def aegis_interceptors(kernel: Kernel, settings: Mapping[str, Any]) -> Iterable[Interceptor]:  # type: ignore[empty-body]
    """Return policy that cuts across verbs, turns, launches and permissions."""
