"""Verbs: what callers may do, and the one way to have it done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from aegis.bus import Bus
from aegis.callers import Caller
from aegis.clock import new_id
from aegis.errors import NotFound, Refused, listed, nearest
from aegis.events import VerbsChanged
from aegis.interceptors import Interceptors
from aegis.registry import Registry, acting
from aegis.verb_definition import Verb
from aegis_signatures.plain import as_json

_FIXED = frozenset({str, int, float, bool, type(None)})  # nobody can change a value of these
_progress: ContextVar[Callable[[str], object]] = ContextVar("aegis_progress", default=lambda text: None)


@dataclass(slots=True)
class VerbCall:
    """One call on its way through the interceptors, which may rewrite its validated arguments."""

    id: str
    verb: str
    plugin: str
    caller: Caller
    args: dict[str, Any]
    read_only: bool = False
    destructive: bool = False

    @property
    def canonical(self) -> str:
        """The arguments as one JSON text: keys sorted, no spaces; the same arguments give the same text."""
        return as_json(self.args)


def report(text: str) -> None:
    """Tell whoever waits for the running verb how far it is; nothing happens when nobody listens."""
    _progress.get()(text)


@contextmanager
def progress(tell: Callable[[str], object]) -> Iterator[None]:
    """Have `tell` called with what verbs `report` inside."""
    token = _progress.set(tell)
    try:
        yield
    finally:
        _progress.reset(token)


class Verbs:
    """Every verb that is here now."""

    def __init__(self, interceptors: Interceptors, bus: Bus) -> None:
        self._interceptors, self._bus = interceptors, bus
        self.verbs: Registry[Verb] = Registry("verb")
        self.tools: Registry[str] = Registry("tool")
        self._down: dict[str, str] = {}
        self.completers: Registry[Callable[[], list[str]]] = Registry("completer")
        self.complete_with("verb", lambda: sorted(self.verbs))

    def add(self, plugin: str, thing: object) -> None:
        """Offer every `@verb` method of the object; raises `Taken` when a verb's or a tool's name is held already."""
        marked = inspect.getmembers(type(thing), lambda member: hasattr(member, "aegis_verb"))
        found = [Verb(plugin, getattr(thing, name)) for name, _ in marked]
        for new in found:
            self.verbs.add(new.name, new, plugin)
            self.tools.add(new.marks.tool, new.name, plugin)
        if found:
            self._bus.publish("", VerbsChanged(added=tuple(v.name for v in found)))

    def remove(self, plugin: str, why: str = "") -> None:
        """Take back a plugin's verbs and completers; with `why`, calls are refused with that reason from then on."""
        self.tools.remove(plugin)
        self.completers.remove(plugin)
        gone = tuple(self.verbs.remove(plugin))
        self._down |= {name: f"{name}: its plugin {plugin!r} is down ({why})" if why else "" for name in gone}
        if gone:
            self._bus.publish("", VerbsChanged(removed=gone))

    def complete_with(self, what: str, values: Callable[[], list[str]]) -> None:
        """Serve parameters marked `Completes(what)` with these values; raises `Taken`."""
        self.completers.add(what, values)

    def completions(self, what: str) -> list[str]:
        """Return the values now known for a completer."""
        return (self.completers.get(what) or list)()

    def __iter__(self) -> Iterator[Verb]:
        return iter(sorted(self.verbs.values(), key=lambda v: v.name))

    def visible(self, caller: Caller) -> list[Verb]:
        """Return the verbs this caller may use, by name."""
        return [v for v in self if v.marks.allow(caller)]

    def find(self, caller: Caller, name: str) -> Verb:
        """Return the verb for this caller; raises `NotFound` or `Refused` with what it may use instead."""
        found = self.verbs.get(name)
        if found is None:
            hint = f"; the package aegis-{name.split()[0]} may bring it" if name.strip() else ""
            raise NotFound(self._down.get(name) or f"there is no verb {name!r}{hint}.{nearest(name, self.verbs)}")
        if not found.marks.allow(caller):
            may = listed(v.name for v in self.visible(caller))
            raise Refused(f"{caller} may not use {name!r}; it may use: {may}")
        return found

    async def call(self, caller: Caller, name: str, args: Mapping[str, Any] | None = None) -> Any:
        """Return what the verb returns; raises `Refused` with a sentence meant for the caller."""
        found = self.find(caller, name)
        marks, args = found.marks, found.validate(args or {})
        call = VerbCall(new_id(), name, str(found.plugin), caller, args, marks.read_only, marks.destructive)
        if self._interceptors.at("before_verb"):
            given = {name: value if type(value) in _FIXED else deepcopy(value) for name, value in args.items()}
            await self._interceptors.tell("before_verb", call)
            if call.args != given:  # what an interceptor wrote is checked like what a caller says
                call.args = found.validate(call.args)
            if self.verbs.get(name) is not found:
                raise NotFound(self._down.get(name) or f"{name}: its plugin {found.plugin!r} has just left")
        try:
            with acting(found.plugin):
                value = await found.run(caller, **call.args)
        except Exception as error:
            await self._interceptors.tell("after_verb", call, None, error)
            raise
        await self._interceptors.tell("after_verb", call, value, None)
        return value
