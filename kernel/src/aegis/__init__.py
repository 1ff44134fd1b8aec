"""aegis: one process that drives coding-agent CLIs and gives them ways to work together.

What this package exports is what a plugin author imports (`__init__.pyi` lists it); a name is loaded when it is first
used, so that `aegis --help` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_HOMES = {
    "admission": "Hold Work", "app": "Kernel open_kernel", "bus": "Batch", "callers": "Caller", "config": "Settings",
    "driver": "Decision Driver DriverInfo McpServer PermissionRequest Probe Profile Seat Session",
    "envelope": "Envelope Receipt",
    "errors": "AegisError Busy ConfigError LaunchError LedgerError NotFound Refused SessionGone",
    "frontend": "Client Console Service", "hookspecs": "hookimpl hookspec", "interceptors": "Interceptor",
    "primitive": "Primitive",
    "reducer": "Answer Reducer", "registry": "Registry", "turn": "Reply", "verb_definition": "Completes verb",
    "verbs": "report", "_processes.cancellation": "finish_despite_cancel", "_processes.processes": "Command Process",
}  # fmt: skip
_HOME = {name: home if home[0] == "_" else f".{home}" for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'aegis' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"aegis{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
