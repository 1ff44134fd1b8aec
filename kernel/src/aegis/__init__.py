"""aegis: one process that drives coding-agent CLIs and gives them ways to work together.

What this package exports is what a plugin author imports; names load when first used, so that `aegis --help` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis.app import Kernel, open_kernel
    from aegis.bus import Batch
    from aegis.callers import Caller
    from aegis.config import Settings, find_project_root
    from aegis.driver import Decision, Driver, McpServer, PermissionRequest, Probe, Profile, Seat, Session
    from aegis.envelope import Envelope, Receipt
    from aegis.errors import AegisError, Busy, ConfigError, LaunchError, LedgerError, NotFound, Refused
    from aegis.frontend import Client, Console, Service
    from aegis.hookspecs import hookimpl
    from aegis.interceptors import Interceptor
    from aegis.primitive import Primitive
    from aegis.processes import Command, Process
    from aegis.reducer import Answer, Reducer
    from aegis.verbs import Completes, report, verb

_HOMES = {
    "app": "Kernel open_kernel",
    "bus": "Batch",
    "callers": "Caller",
    "config": "Settings find_project_root",
    "driver": "Decision Driver McpServer PermissionRequest Probe Profile Seat Session",
    "envelope": "Envelope Receipt",
    "errors": "AegisError Busy ConfigError LaunchError LedgerError NotFound Refused",
    "frontend": "Client Console Service",
    "hookspecs": "hookimpl",
    "interceptors": "Interceptor",
    "primitive": "Primitive",
    "processes": "Command Process",
    "reducer": "Answer Reducer",
    "verbs": "Completes report verb",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = [  # noqa: F822 - the names are served by __getattr__
    "AegisError", "Answer", "Batch", "Busy", "Caller", "Client", "Command", "Completes", "ConfigError", "Console",
    "Decision", "Driver", "Envelope", "Interceptor", "Kernel", "LaunchError", "LedgerError", "McpServer", "NotFound",
    "PermissionRequest", "Primitive", "Probe", "Process", "Profile", "Receipt", "Reducer", "Refused", "Seat",
    "Service", "Session", "Settings", "find_project_root", "hookimpl", "open_kernel", "report", "verb",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'aegis' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"aegis.{_HOME[name]}"), name)
    return value
