"""Secrets by name: where they come from, and that the redactor knows each that was handed out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from aegis import Refused, Registry
from aegis.errors import listed, nearest
from aegis.redactor import Redactor

_NAMED = re.compile(r"\$\{secret:([^{}]*)\}")
_SHORTEST = 6  # characters: what is shorter stands in many a text by chance


class SecretSource(Protocol):
    """A place to look secrets up in."""

    name: str

    async def find(self, name: str) -> str | None:
        """Return the secret, or None when this source does not have it."""

    def names(self) -> Iterable[str]:
        """Return the names that may be told to whoever misspells one."""


class Secrets:
    """Looks secrets up: in the kernel's own variables, then in each source."""

    def __init__(self, ours: Mapping[str, str], redactor: Redactor, sources: Registry[SecretSource]) -> None:
        self._ours, self._redactor, self._sources = ours, redactor, sources

    async def filled(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with `${secret:NAME}` replaced; raises `Refused` for one that no source has."""
        return {name: await self._filled(name, value) for name, value in variables.items()}

    async def _filled(self, variable: str, text: str) -> str:
        for name in dict.fromkeys(_NAMED.findall(text)):
            text = text.replace(f"${{secret:{name}}}", await self._find(variable, name))
        return text

    async def _find(self, variable: str, name: str) -> str:
        value = self._ours.get(name)
        for source in self._sources.values() if value is None else ():
            if (value := await source.find(name)) is not None:
                break
        wanted = f"{variable} needs the secret {name!r}"
        if value is None:
            known = [*self._ours, *(n for source in self._sources.values() for n in source.names())]
            where = listed(["the variables of aegis itself", *self._sources])
            raise Refused(f"{wanted}, which is in none of its sources ({where}).{nearest(name, known)}")
        if len(value) < _SHORTEST:
            raise Refused(f"{wanted}, which has fewer than {_SHORTEST} characters: it could not be kept out of records")
        self._redactor.know(re.sub(r"[^\w./:@-]", "_", name), value)
        return value
