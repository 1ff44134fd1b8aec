"""Verbs: what callers may do. One typed async method is the tool, the shell command, the REPL command and its help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from aegis.bus import Bus
from aegis.callers import Caller
from aegis.errors import AegisError, NotFound, Refused, listed, nearest
from aegis.events import VerbsChanged
from aegis.interceptors import Interceptors

EVERYONE = frozenset({"agent", "human", "schedule", "workflow", "queue", "telegram", "peer", "system"})
_NAME = re.compile(r"[a-z][a-z0-9-]*( [a-z][a-z0-9-]*)?\Z")
_progress: ContextVar[Callable[[str], None]] = ContextVar("aegis_progress", default=lambda text: None)


@dataclass(frozen=True, slots=True)
class Completes:
    """Marks a parameter (`Annotated[str, Completes("handle")]`) whose values come from the completer of this name."""

    what: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What `@verb` says of a method."""

    name: str
    tool: str
    read_only: bool
    destructive: bool
    callers: frozenset[str]
    positional: tuple[str, ...]


def verb(
    name: str,
    *,
    tool: str = "",
    read_only: bool = False,
    destructive: bool = False,
    callers: frozenset[str] = EVERYONE,
    positional: tuple[str, ...] | None = None,
) -> Callable[[Any], Any]:
    """Offer an async method `(self, caller, …)` as a verb named by the words a person types.

    Its first docstring line is the help; annotations and defaults are the schema; `positional` are the parameters that
    the shell takes without a flag (those without a default, unless said); `tool` overrides the MCP name.
    """

    def mark(method: Any) -> Any:
        if not _NAME.match(name) or not inspect.iscoroutinefunction(method) or not inspect.getdoc(method):
            raise AegisError(f"verb {name!r} must be one or two lower-case words, on an async method with a docstring")
        parameters = list(inspect.signature(method).parameters.values())[2:]
        bare = tuple(p.name for p in parameters if p.default is p.empty)
        mcp = tool or "aegis_" + re.sub(r"[ -]", "_", name)
        method.aegis_verb = Marks(
            name, mcp, read_only, destructive, callers, bare if positional is None else positional
        )
        return method

    return mark


class Verb:
    """A verb of a running plugin."""

    def __init__(self, plugin: str, method: Callable[..., Any]) -> None:
        self.plugin, self.run = plugin, method
        self.marks: Marks = method.aegis_verb  # type: ignore[attr-defined]
        self.name, self.doc = self.marks.name, inspect.getdoc(method) or ""
        self.help = self.doc.splitlines()[0]

    @cached_property
    def model(self) -> type[BaseModel]:
        """The arguments as a pydantic model, made when first needed."""
        parameters = list(inspect.signature(self.run, eval_str=True).parameters.values())[1:]
        kinds: dict[str, Any] = {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters}
        return create_model(self.name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **kinds)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """JSON schema of the arguments."""
        schema = self.model.model_json_schema()
        for part in (schema, *schema.get("properties", {}).values()):
            part.pop("title", None)
        return schema

    def validate(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as their types; raises `Refused` with a sentence on each wrong one."""
        known = list(self.model.model_fields)
        try:
            model = self.model.model_validate(dict(args))
        except ValidationError as error:
            wrong = "; ".join(_complaint(e, known) for e in error.errors())
            raise Refused(f"{self.name}: {wrong}. It takes: {', '.join(known) or 'nothing'}.") from None
        return {name: getattr(model, name) for name in known}

    def describe(self) -> dict[str, Any]:
        """Return everything a surface needs to offer the verb, as JSON."""
        found = {n: m.what for n, f in self.model.model_fields.items() for m in f.metadata if isinstance(m, Completes)}
        more = {"plugin": self.plugin, "help": self.help, "doc": self.doc, "schema": self.schema}
        return {**msgspec.to_builtins(self.marks), "callers": sorted(self.marks.callers), **more, "completes": found}


def _complaint(error: Any, known: list[str]) -> str:
    name = ".".join(map(str, error["loc"])) or "arguments"
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] == "extra_forbidden":
        return f"there is no {name}.{nearest(name, known)}"
    return f"{name} is wrong: {error['msg'].removeprefix('Value error, ')}"


@dataclass(slots=True)
class VerbCall:
    """One call on its way through the interceptors, which may rewrite its validated arguments."""

    verb: str
    caller: Caller
    args: dict[str, Any]


def report(text: str) -> None:
    """Tell whoever waits for the running verb how far it is; nothing happens when nobody listens."""
    _progress.get()(text)


@contextmanager
def progress(tell: Callable[[str], None]) -> Iterator[None]:
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
        self._verbs: dict[str, Verb] = {}
        self._down: dict[str, str] = {}
        self._completers: dict[str, Callable[[], list[str]]] = {"verb": lambda: sorted(self._verbs)}

    def add(self, plugin: str, thing: object) -> None:
        """Offer every `@verb` method of the object; raises `AegisError` when a name is already another plugin's."""
        marked = inspect.getmembers(type(thing), lambda member: hasattr(member, "aegis_verb"))
        found = [Verb(plugin, getattr(thing, name)) for name, _ in marked]
        for new in found:
            if (old := self._verbs.get(new.name)) and old.plugin != plugin:
                both = f"plugins {old.plugin!r} and {plugin!r} both offer the verb {new.name!r}"
                raise AegisError(f"{both}; disable one under plugins.disabled")
        self._verbs.update({v.name: v for v in found})
        if found:
            self._bus.publish("", VerbsChanged(added=tuple(v.name for v in found)))

    def remove(self, plugin: str, why: str = "") -> None:
        """Take back a plugin's verbs; with `why`, calls are refused with that reason until it adds them again."""
        gone = [name for name, v in self._verbs.items() if v.plugin == plugin]
        for name in gone:
            del self._verbs[name]
            self._down[name] = f"{name}: its plugin {plugin!r} is down ({why})" if why else ""
        if gone:
            self._bus.publish("", VerbsChanged(removed=tuple(gone)))

    def complete_with(self, what: str, values: Callable[[], list[str]]) -> None:
        """Serve parameters marked `Completes(what)` with these values."""
        self._completers[what] = values

    def completions(self, what: str) -> list[str]:
        """Return the values now known for a completer."""
        return self._completers.get(what, list)()

    def __iter__(self) -> Iterator[Verb]:
        return iter(sorted(self._verbs.values(), key=lambda v: v.name))

    def visible(self, caller: Caller) -> list[Verb]:
        """Return the verbs this caller may use, by name."""
        return [v for v in self if caller.kind in v.marks.callers and caller.may(v.name)]

    def find(self, caller: Caller, name: str) -> Verb:
        """Return the verb for this caller; raises `NotFound` or `Refused` with what it may use instead."""
        found = self._verbs.get(name)
        if found is None:
            hint = f"; the package aegis-{name.split()[0]} may bring it" if name.strip() else ""
            raise NotFound(self._down.get(name) or f"there is no verb {name!r}{hint}.{nearest(name, self._verbs)}")
        if caller.kind not in found.marks.callers or not caller.may(name):
            may = listed(v.name for v in self.visible(caller))
            raise Refused(f"{caller} may not use {name!r}; it may use: {may}")
        return found

    async def call(self, caller: Caller, name: str, args: Mapping[str, Any] | None = None) -> Any:
        """Return what the verb returns; raises `Refused` with a sentence meant for the caller."""
        found = self.find(caller, name)
        call = VerbCall(name, caller, found.validate(args or {}))
        await self._interceptors.tell("before_verb", call)
        try:
            value = await found.run(caller, **call.args)
        except Exception as error:
            await self._interceptors.tell("after_verb", call, None, error)
            raise
        await self._interceptors.tell("after_verb", call, value, None)
        return value


def plain(value: Any) -> Any:
    """Return a verb's value as JSON: structs, dataclasses and models become objects."""
    return msgspec.to_builtins(
        value, enc_hook=lambda v: v.model_dump(mode="json") if isinstance(v, BaseModel) else str(v)
    )
