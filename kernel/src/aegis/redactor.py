"""One redactor for bus, ledger and screens: what was handed out as a secret is cut out of whatever is said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec

from aegis.errors import AegisError
from aegis.events import Event, decode, encode

E = TypeVar("E", bound=Event)


class Redactor:
    """Puts `<secret:NAME>` in the place of every value it knows."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}  # value → name
        self._forms: list[tuple[str, str]] = []
        self._signs: list[bytes] = []  # by which a JSON text shows that it holds one

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
        with suppress(UnicodeEncodeError):  # half a character: looked at word by word
            if not self._shown(encode(event)):
                return event
        return cast("E", decode(self.data(msgspec.to_builtins(event))))

    def error(self, error: AegisError | None) -> AegisError | None:
        """Return the error, if any, without the values in its sentence."""
        if error is None:
            return None
        cut = self.text(str(error))
        return error if cut == str(error) else type(error)(cut, **self.data(error.data))
