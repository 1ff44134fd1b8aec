"""What is said in pieces: a value that begins in one and ends in the next is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from aegis_redactor.redactor import Redactor


class Seam:
    """Holds back the end of a piece that may be the beginning of a value, until it is known what follows.

    Pieces are frozen structs of these kinds with a `text`; those that differ in nothing else are one text. Whatever
    else is said lets go what was held back.
    """

    def __init__(self, redactor: Redactor, kinds: tuple[type[Any], ...]) -> None:
        self._redactor, self._kinds = redactor, kinds
        self._held: Any = None

    def joined(self, said: Sequence[Any]) -> Sequence[Any]:
        """Return what may be said now, whole values in one piece; with no value to look for, all of it as it is."""
        if not self._redactor.values:
            return said
        out: list[Any] = []
        for one in said:
            held, self._held = self._held, None
            if type(one) not in self._kinds:
                out += [held, one] if held else [one]
                continue
            if held and _bare(held) == _bare(one):
                one = msgspec.structs.replace(one, text=held.text + one.text)
            elif held:
                out.append(held)
            text = self._redactor.text(one.text)
            if begun := self._redactor.begun(text):
                self._held = msgspec.structs.replace(one, text=text[-begun:])
                text = text[:-begun]
            if text:
                out.append(one if text == one.text else msgspec.structs.replace(one, text=text))
        return out


def _bare(piece: Any) -> Any:
    return msgspec.structs.replace(piece, text="")
