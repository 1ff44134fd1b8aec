"""Secrets by name: where they come from, and one redactor that knows each that was handed out."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from aegis.errors import AegisError, Refused, listed, nearest
from aegis.events import Event, decode, encode
from aegis.registry import Registry

Find = Callable[[str], Awaitable[str | None]]
E = TypeVar("E", bound=Event)
_NAMED = re.compile(r"\$\{secret:([^{}]*)\}")
_SHORTEST = 6  # characters: what is shorter stands in many a text by chance


class Redactor:
    """Puts `<secret:NAME>` in the place of every value it knows; false while it knows none."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}  # value → name
        self._forms: list[tuple[str, str]] = []
        self._signs: list[bytes] = []  # by which a JSON text shows that it holds one

    def __bool__(self) -> bool:
        return bool(self._forms)

    def know(self, name: str, value: str) -> None:
        """Cut this value out of everything from now on, also as it stands in JSON, and in JSON inside JSON."""
        if value in self.values:
            return
        self.values[value], found = name, dict[str, str]()
        for secret, its in self.values.items():
            for ascii_only in (False, True):
                once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
                twice = json.dumps(once, ensure_ascii=ascii_only)[1:-1]
                found |= dict.fromkeys((secret, once, twice), f"<secret:{its}>")
        self._forms = sorted(found.items(), key=lambda form: -len(form[0]))
        self._signs = list({json.dumps(form, ensure_ascii=False)[1:-1].encode(errors="replace") for form in found})

    def text(self, said: str) -> str:
        """Return the text without the values."""
        for form, mark in self._forms:
            if form in said:
                said = said.replace(form, mark)
        return said

    def data(self, value: Any) -> Any:
        """Return plain data without the values."""
        if isinstance(value, dict):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def json(self, line: bytes) -> bytes:
        """Return a JSON text without the values."""
        return msgspec.json.encode(self.data(msgspec.json.decode(line))) if self._shown(line) else line

    def _shown(self, line: bytes) -> bool:
        return any(sign in line for sign in self._signs)

    def events(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the events without the values; those that hold none as they are."""
        return [self.event(event) for event in events] if self._forms else events

    def event(self, event: E) -> E:
        """Return the event without the values."""
        try:
            if not self._shown(encode(event)):
                return event
        except UnicodeEncodeError:  # half a character: looked at word by word
            pass
        said = msgspec.to_builtins(event)
        return event if (cut := self.data(said)) == said else cast("E", decode(cut))

    def error(self, error: AegisError | None) -> AegisError | None:
        """Return the error, if any, without the values in its sentence."""
        if error is None:
            return None
        cut = self.text(str(error))
        return error if cut == str(error) else type(error)(cut, **self.data(error.data))


class Secrets:
    """The sources of secrets, asked in order; the kernel's own variables are the first."""

    def __init__(self, environment: Mapping[str, str], redactor: Redactor) -> None:
        self._environment, self.redactor = environment, redactor
        self.sources: Registry[tuple[Find, Callable[[], Iterable[str]]]] = Registry("secret source")

    def source(self, name: str, find: Find, names: Callable[[], Iterable[str]] = tuple) -> None:
        """Ask `find` for secrets, too; `names` are those it may tell that it has."""
        self.sources.add(name, (find, names))

    async def filled(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with `${secret:NAME}` replaced; raises `Refused` for one that no source has."""
        return {name: await self._filled(name, value) for name, value in variables.items()}

    async def _filled(self, variable: str, text: str) -> str:
        for name in dict.fromkeys(_NAMED.findall(text)):
            text = text.replace(f"${{secret:{name}}}", await self._find(variable, name))
        return text

    async def _find(self, variable: str, name: str) -> str:
        value = self._environment.get(name)
        for find, _ in self.sources.values() if value is None else ():
            if (value := await find(name)) is not None:
                break
        wanted = f"{variable} needs the secret {name!r}"
        if value is None:
            known = [*self._environment, *(n for _, names in self.sources.values() for n in names())]
            where = listed(["the variables of aegis itself", *self.sources])
            raise Refused(f"{wanted}, which is in none of its sources ({where}).{nearest(name, known)}")
        if len(value) < _SHORTEST:
            raise Refused(f"{wanted}, which has fewer than {_SHORTEST} characters: it could not be kept out of records")
        self.redactor.know(re.sub(r"[^\w./:@-]", "_", name), value)
        return value
