"""A typed line, and what to do about it: pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aegis.errors import Refused, nearest

LOCAL = {
    "tab": "[N|HANDLE]  switch to a tab, or list them",
    "help": "[COMMAND|GROUP|all]  what can be typed, or how one command is used",
    "quit": "quit (agents that another process runs go on)",
}
_TO = re.compile(r"@([a-z][a-z0-9-]*)(?:\s+(.*))?\Z", re.DOTALL)
_PART = re.compile(r"--([a-z][a-z0-9_-]*)(?:=(.*))?\Z", re.DOTALL)
_WORD = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*)"(?=\s|\Z)|'([^']*)'(?=\s|\Z)|(\S+))""")


@dataclass(frozen=True, slots=True)
class Say:
    """Words to an agent: the active one when no handle is named."""

    text: str
    handle: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A verb or a command of the screen's own, with the rest of the line as it was typed."""

    name: str
    rest: str = ""


def parse(line: str, verbs: Sequence[str] = ()) -> Say | Command | None:
    """Return what the line asks for, None for an empty one; raises `Refused` for one that asks for nothing doable.

    A line that begins with a space is sent as it is; `//` stands for a slash that is sent.
    """
    if not line.strip():
        return None
    if line.startswith("//"):
        return Say(line[1:].rstrip())
    if line.startswith("/"):
        return _command(line[1:].strip(), verbs)
    if to := _TO.match(line):
        if not (to[2] or "").strip():
            raise Refused(f"say what: @{to[1]} TEXT (or /tab {to[1]} to switch to it)")
        return Say(to[2].strip(), to[1])
    return Say(line.strip())


def _command(text: str, verbs: Sequence[str]) -> Command:
    """Split off the longest name there is: two words before one."""
    words = text.split(None, 2)
    if not words:
        raise Refused("which command? /help lists them; to send text that begins with a slash, type //")
    two = " ".join(words[:2])
    if two in verbs:
        return Command(two, words[2] if len(words) > 2 else "")
    name, _, rest = text.partition(" ")
    if name in verbs or name in LOCAL:
        return Command(name, rest.strip())
    family = [v for v in verbs if v.startswith(f"{name} ")]
    if family:
        raise Refused(f"/{name} needs one of: {', '.join(v.removeprefix(f'{name} ') for v in family)}")
    hint = nearest(name, [*verbs, *LOCAL])
    slash = f"to send text that begins with a slash, type //{first(text)}"
    raise Refused(f"there is no command /{name}.{hint} /help lists them; {slash}")


def first(text: str) -> str:
    """Return the first word of the text and a sign that more follows."""
    word, _, rest = text.partition(" ")
    return f"{word} …" if rest else word


def words(text: str) -> list[tuple[str, int, int]]:
    """Return each word with its place; quotes hold words together only where they open a word (so `don't` is one)."""
    found = []
    for match in _WORD.finditer(text):
        double, single, bare = match.groups()
        value = re.sub(r'\\(["\\])', r"\1", double) if double is not None else single if single is not None else bare
        start = match.end() - len(match.group().lstrip())
        found.append((value, start, match.end()))
    return found


def bind(verb: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the verb's arguments from what was typed after its name; raises `Refused` with the usage.

    Options are `--name value`, `--name=value`, `--flag` and `--no-flag`; those that are not the verb's own become part
    of the object parameter that another verb describes, if it has one. The rest fills the positional parameters in
    order, and the last of them takes all that is left as it was typed, so that a message needs no quotes.
    """
    properties: Mapping[str, Any] = verb["schema"].get("properties", {})
    positional = [name for name in verb["positional"] if name in properties]
    args: dict[str, Any] = {}
    home = next((name for name, prop in properties.items() if "x-described-by" in prop), "")
    options = {name: p for name, p in properties.items() if not home or name not in positional}
    bare: list[tuple[str, int, int]] = []
    tokens, i, literal = words(text), 0, False
    while i < len(tokens):
        word, start, _ = tokens[i]
        i += 1
        if word == "--" and not literal:
            literal = True
            continue
        name, value = ("", None) if literal or text[start] != "-" else _option(word, options)
        if not name and home and not literal and (part := _PART.match(word)):
            after = tokens[i][0] if i < len(tokens) and not tokens[i][0].startswith("--") else None
            i += part[2] is None and after is not None
            _join(args.setdefault(home, {}), part[1].replace("-", "_"), part[2] or after)
        elif not name:
            bare.append(tokens[i - 1])
        elif value is None and _kind(properties[name]) == "boolean":
            args[name] = not word.startswith("--no-") or name.startswith("no_")
        else:
            if value is None:
                if i == len(tokens):
                    raise Refused(f"/{verb['name']}: --{name.replace('_', '-')} takes a value")
                value, i = tokens[i][0], i + 1
            _put(args, name, value, properties[name])
    for n, name in enumerate(positional):
        if not bare:
            break
        if n == len(positional) - 1 and _takes_words(verb, name):
            args[name] = bare[0][0] if len(bare) == 1 else text[bare[0][1] : bare[-1][2]]
            bare = []
        elif n == len(positional) - 1 and _kind(properties[name]) == "array":
            args[name] = [word for word, _, _ in bare]
            bare = []
        else:
            _put(args, name, bare.pop(0)[0], properties[name])
    if bare:
        raise Refused(f"/{verb['name']} does not take {bare[0][0]!r}; usage: {usage(verb)}")
    if missing := [name.upper() for name in verb["schema"].get("required", ()) if name not in args]:
        is_ = "is" if len(missing) == 1 else "are"
        raise Refused(f"{' and '.join(missing)} {is_} missing; usage: {usage(verb)}")
    return args


def _join(whole: dict[str, Any], name: str, value: str | None) -> None:
    """Add a part, which the verb gives its type: a flag when it has no value, a list when it is given again."""
    known = whole.get(name)
    if value is None:
        whole[name.removeprefix("no_")] = not name.startswith("no_")
    else:
        whole[name] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]


def _takes_words(verb: Mapping[str, Any], name: str) -> bool:
    """Return whether a parameter is text, of which the rest of the line is the words; a name is no text."""
    schema = verb["schema"]["properties"][name]
    return _kind(schema) == "string" and "enum" not in schema and name not in verb["completes"]


def _option(word: str, properties: Mapping[str, Any]) -> tuple[str, str | None]:
    if not word.startswith("--"):  # one letter may stand after one dash, too
        return (word[1:], None) if len(word) == 2 and word[1:] in properties else ("", None)
    name, equals, value = word[2:].partition("=")
    name = name.replace("-", "_")
    if name in properties:
        return name, value if equals else None
    if name.startswith("no_") and name[3:] in properties and _kind(properties[name[3:]]) == "boolean":
        return name[3:], None
    return "", None


def _put(args: dict[str, Any], name: str, value: str, schema: Mapping[str, Any]) -> None:
    kind = _kind(schema)
    if kind == "array":
        args.setdefault(name, []).append(value)
    elif kind == "object":
        try:
            args[name] = json.loads(value)
        except (ValueError, RecursionError):
            raise Refused(f"--{name.replace('_', '-')} takes JSON, which this is not: {value}") from None
    else:
        args[name] = value


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the JSON type of a parameter, of its first meaning when it may also be null."""
    for one in schema.get("anyOf", (schema,)):
        if one.get("type", "string") != "null":
            return str(one.get("type", "string"))
    return "string"


def usage(verb: Mapping[str, Any], *, options: bool = True) -> str:
    """Return how the verb is typed: `/handoff TARGET CONTEXT [--wait]`."""
    properties: Mapping[str, Any] = verb["schema"].get("properties", {})
    required = set(verb["schema"].get("required", ()))
    parts = [name.upper() if name in required else f"[{name.upper()}]" for name in verb["positional"]]
    for name, schema in properties.items() if options else ():
        if name not in verb["positional"]:
            dashes = "--" if name[1:] else "-"
            flag = f"{dashes}{name.replace('_', '-')}" + ("" if _kind(schema) == "boolean" else f" {name.upper()}")
            parts.append(flag if name in required else f"[{flag}]")
    return " ".join([f"/{verb['name']}", *parts])
