"""A command of the shell with values put in: each is quoted, so that it stays one word whatever is in it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_PLACE = re.compile(r"(?<!\$)\{(\w+)\}")
_HERE_DOCUMENT = re.compile(r"<<(?!<)")


def command_line(cmd: str | Sequence[Any], values: Mapping[str, Any]) -> str:
    """Return the command line: a list of words is quoted word by word, and `{name}` stands for a value, quoted.

    Without values nothing is replaced. A list as a value is several words. Raises `TypeError` for a value without a
    place or that is no word, `ValueError` for a place where quotes would not hold, or a NUL.
    """
    if not isinstance(cmd, str):
        if values:
            raise TypeError(f"a list of words takes no values ({', '.join(sorted(values))})")
        line = _words(list(cmd), "the command")
    else:
        line = _filled(cmd, values) if values else cmd
    if "\0" in line:
        raise ValueError("a command of the shell cannot hold a NUL")
    return line


def _filled(cmd: str, values: Mapping[str, Any]) -> str:
    places = [match for match in _PLACE.finditer(cmd) if match[1] in values]
    if missing := sorted(values.keys() - {match[1] for match in places}):
        raise TypeError(f"the command has no place {{{missing[0]}}} for the value {missing[0]!r}")
    if _HERE_DOCUMENT.search(cmd):
        raise ValueError("no value can be put into a command with a here-document: hand it over with `env=`")
    parts, end, outside = [], 0, _outside(cmd)
    for match in places:
        if match.start() not in outside:
            raise ValueError(f"{match[0]} stands inside quotes or a comment; leave them out, it is quoted already")
        value = values[match[1]]
        parts += [cmd[end : match.start()], _words(value, match[1]) if _several(value) else _word(value, match[1])]
        end = match.end()
    return "".join([*parts, cmd[end:]])


def _outside(cmd: str) -> set[int]:
    """Return the places of the command that are in no quotes, in no comment and behind no backslash."""
    found, quote, place, begins = set[int](), "", 0, True
    while place < len(cmd):
        sign = cmd[place]
        if sign == "\\" and quote != "'":
            place += 1
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"`":
            quote = sign
        elif sign == "#" and begins:
            place = cmd.find("\n", place) if "\n" in cmd[place:] else len(cmd)
        else:
            found.add(place)
        begins = not quote and sign in " \t\n;&|()"
        place += 1
    return found


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _words(values: Sequence[Any], name: str) -> str:
    return " ".join(_word(value, name) for value in values)


def _word(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | os.PathLike):
        raise TypeError(f"{name}: {value!r} is no word for a command: a text, a number or a path is")
    return shlex.quote(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
