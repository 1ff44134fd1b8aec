"""Imports of what is heavy, in a thread beside other work: what a person waits for comes first, and no exit waits.

Imports belong to a process and not to one of its parts, and so does what is in this module.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from importlib import import_module
from types import ModuleType

import trio

_PATIENCE = 5.0  # seconds that imports wait for what a person waits for, should nobody say that it is there
_SWITCH = 0.001  # seconds after which the importing thread lets another one run that wants to
_LIMIT = 1.0  # seconds for the import to come to its next module when the process ends


class Foreground:
    """What a person waits for, such as the first screen: no import in the background begins before it is there."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()

    def begins(self) -> None:
        """Have imports in the background wait from now on."""
        self._free.clear()

    def is_there(self) -> None:
        """Let imports in the background begin."""
        self._free.set()

    def wait(self) -> None:
        """Return when nobody waits for anything any more, or has waited too long."""
        self._free.wait(_PATIENCE)


class _Ended(BaseException):
    """Nobody wants the module any more: whatever is caught where modules are imported, this is not."""


class _Step:
    """A finder that finds nothing: each module that its thread imports is a step at which the import can end."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise when the process ends; no thread may wait in here, because all others that import would, too."""
        if _ending.is_set() and threading.get_ident() == self._thread:
            raise _Ended(name)


foreground = Foreground()
_ending, _idle, _one = threading.Event(), threading.Event(), threading.Lock()
_idle.set()


async def imported(name: str) -> ModuleType:
    """Return the module; a caller that is cancelled does not wait for the rest of an import that has begun."""
    if (found := sys.modules.get(name)) and not getattr(found.__spec__, "_initializing", False):
        return found
    unwanted = threading.Event()
    try:
        return await trio.to_thread.run_sync(_import, name, unwanted, abandon_on_cancel=True)
    finally:
        unwanted.set()


def _import(name: str, unwanted: threading.Event) -> ModuleType:
    foreground.wait()
    if unwanted.is_set():
        raise _Ended(name)
    with _one:
        step, switch, collects = _Step(), sys.getswitchinterval(), gc.isenabled()
        _idle.clear()
        sys.meta_path.insert(0, step)
        sys.setswitchinterval(_SWITCH)
        gc.disable()  # modules stay: looking for garbage in them holds up every thread, and finds none
        try:
            return import_module(name)
        finally:
            sys.meta_path.remove(step)
            sys.setswitchinterval(switch)
            if gc.get_freeze_count():
                gc.freeze()  # this process does not look through what it began with; this belongs to it
            if collects:
                gc.enable()
            _idle.set()


def wait(seconds: float) -> bool:
    """Return whether no import is under way, after waiting for so long."""
    return _idle.wait(seconds)


def _end() -> None:
    """Let no thread be inside a module when the interpreter takes itself apart."""
    _ending.set()
    foreground.is_there()
    _idle.wait(_LIMIT)


atexit.register(_end)
