"""What must not be said is cut out of text, of plain data and of JSON, however it is escaped there."""

from __future__ import annotations

import json
from typing import Any

import msgspec


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

    def begun(self, said: str) -> int:
        """Return how many characters at the end of a text without values may be the beginning of one."""
        longest = 0
        for form, _ in self._forms:
            at = max(0, len(said) - len(form) + 1)
            while (at := said.find(form[0], at)) >= 0:
                if form.startswith(said[at:]):
                    longest = max(longest, len(said) - at)
                    break
                at += 1
        return longest

    def data(self, value: Any) -> Any:
        """Return plain data without the values."""
        if isinstance(value, dict):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def json(self, line: bytes) -> bytes:
        """Return a JSON text without the values."""
        return msgspec.json.encode(self.data(msgspec.json.decode(line))) if self.shown(line) else line

    def shown(self, line: bytes) -> bool:
        """Return whether a JSON text may hold a value."""
        return any(sign in line for sign in self._signs)
