"""Options that depend on another argument of the command: those of `workflow run NAME` depend on the workflow.

An object parameter may carry `x-described-by` in its schema: the verb that returns, as a JSON schema, what the object
takes, and the parameter that says of what. Each of its properties is then an option of the command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aegis.errors import AegisError

Ask = Callable[[str, dict[str, Any]], Any]
_EVERYWHERE = {"--project", "--cwd", "--json", "--help"}
PART_OF = "x-part-of"  # in a property that became an option: the parameter it is a part of


def with_dynamic_options(verb: dict[str, Any], words: Sequence[str], ask: Ask | None) -> dict[str, Any]:
    """Return the verb with the options that the words call for; `ask` calls a verb (None when no kernel runs)."""
    schema = verb["schema"]
    for name, prop in schema.get("properties", {}).items():
        if not (told := _told(prop)):
            continue
        value = _value(verb, told["for"], words)
        try:
            found = ask(told["verb"], {told["for"]: value}) if ask and value else None
        except AegisError:  # the command itself says best what is wrong with the value
            found = None
        if found is None:
            return {**verb, "open": name}
        taken = {flag_of(n) for n in schema["properties"] if n not in verb["positional"]} | _EVERYWHERE
        required = found.get("required", ())
        own = {
            f"{name}.{n}": {**p, PART_OF: name, "description": _what(p, needed=n in required)}
            for n, p in found.get("properties", {}).items()
            if flag_of(n) not in taken
        }
        extended = {
            **schema,
            "properties": {**schema["properties"], **own},
            "$defs": {**schema.get("$defs", {}), **found.get("$defs", {})},
        }
        return {**verb, "schema": extended}
    return verb


def regrouped(verb: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with each such option in the object it is a part of."""
    properties, whole = verb["schema"].get("properties", {}), dict(args)
    for name in args:
        if home := properties.get(name, {}).get(PART_OF):
            whole[home] = {**(whole.get(home) or {}), name.removeprefix(f"{home}."): whole.pop(name)}
    return whole


def flag_of(name: str) -> str:
    """Return the option of a parameter, or of a part of one."""
    return f"--{name.rpartition('.')[2].replace('_', '-')}"


def flags_of(name: str) -> list[str]:
    """Return every spelling of that option: one letter may stand after one dash, too."""
    flag = flag_of(name)
    return [flag[1:], flag] if len(flag) == 3 and flag not in ("--h", "--C") else [flag]


def dashed(words: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """Return the words, each option among them that is known only with `-` for `_` spelled so."""
    spelled = list(words)
    for number, word in enumerate(words):
        if word == "--":  # what follows is no option
            break
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and not known(flag) and known(flag.replace("_", "-")):
            spelled[number] = f"{flag.replace('_', '-')}{equals}{value}"
    return spelled


def _what(prop: dict[str, Any], *, needed: bool) -> str:
    return " ".join(filter(None, (prop.get("description", ""), "(required)" if needed else "")))


def _told(prop: dict[str, Any]) -> dict[str, str] | None:
    told: dict[str, str] | None = prop.get("x-described-by")
    return told


def _value(verb: dict[str, Any], name: str, words: Sequence[str]) -> str:
    """Return the word that is this positional parameter: the options before it take a value each, or say `=`."""
    flags = {flag: p for n, p in verb["schema"]["properties"].items() for flag in flags_of(n)}
    bare, skip = [], False
    for word in dashed(words, flags.__contains__):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = (
                "=" not in word and flags.get(word, {}).get("type") != "boolean" and word in (*flags, "-C", "--project")
            )
        else:
            bare.append(word)
    place = verb["positional"].index(name)
    return bare[place] if place < len(bare) else ""
