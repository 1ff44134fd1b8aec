"""From a verb's schema to a command line: positionals, flags, their types and their help."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from aegis.errors import ConfigError
from aegis_cli.dynamic_options import PART_OF, dashed, flags_of, regrouped
from aegis_jsonrpc.utf8 import fault

_SCALARS: dict[str, Callable[[str], Any]] = {"string": str, "integer": int, "number": float}


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are `ConfigError` sentences (exit code 2)."""

    def __init__(self, prog: str, **more: Any) -> None:
        more.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        settings: Any = {"allow_abbrev": False, "argument_default": argparse.SUPPRESS, "conflict_handler": "resolve"}
        super().__init__(prog, **settings, **more)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does; `_` in the name of an option is as good as `-`."""
        return super().parse_known_args(dashed(sys.argv[1:] if args is None else args, self._known), namespace)

    def _known(self, flag: str) -> bool:
        return flag in self._option_string_actions

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong, and where to read how it is done."""
        command = self.prog.removeprefix("aegis").strip()
        raise ConfigError(f"{command}{command and ': '}{message}; `{self.prog} --help` says how")


def common(parser: argparse.ArgumentParser, taken: Sequence[str] = ()) -> None:
    """Add the options every command takes, but for names that the command has given a meaning of its own."""
    group = parser.add_argument_group("everywhere")
    if "project" not in taken:
        group.add_argument("-C", "--project", "--cwd", dest="_project", metavar="DIR", help="the project's folder")
    if "json" not in taken:
        group.add_argument("--json", dest="_json", action="store_true", help="print one JSON object")


def verb_parser(verb: dict[str, Any]) -> Parser:
    """Return the parser of a verb as `Verb.describe` describes it; only what was given ends up in the result."""
    schema = verb["schema"]
    properties: dict[str, Any] = schema.get("properties", {})
    required = set(schema.get("required", ()))
    agents = not verb["for"] or "agent" in verb["for"]
    origin = f"From the plugin {verb['plugin']}."
    told = f"{origin} Agents call it {verb['tool']}." if agents else f"{origin} Not for agents."
    parser = Parser(f"aegis {verb['name']}", description=verb["doc"], epilog=told)
    for name in verb["positional"]:
        options = _options(_plain(properties[name], schema))
        several = options.pop("action", "") == "append" or (name == verb["positional"][-1] and _takes_words(verb, name))
        if several or name not in required:
            options["nargs"] = "?" if not several else "+" if name in required else "*"
        parser.add_argument(name, **{"metavar": name.upper()} | options)
    parts: Any = parser
    if any(PART_OF in prop for prop in properties.values()):
        parts = parser.add_argument_group("its own arguments")
    for name in (n for n in properties if n not in verb["positional"]):
        options = _options(_plain(properties[name], schema))
        if "action" not in options or options["action"] == "append":
            options = {"metavar": name.rpartition(".")[2].upper(), "required": name in required} | options
        (parts if PART_OF in properties[name] else parser).add_argument(*flags_of(name), dest=name, **options)
    common(parser, tuple(properties))
    return parser


def verb_arguments(verb: dict[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the verb's arguments and the common options; raises `ConfigError`."""
    parser = verb_parser(verb)
    if verb.get("open"):  # what further options there are cannot be known here
        given = vars(parser.parse_known_intermixed_args(list(words))[0])
    else:
        given = vars(parser.parse_intermixed_args(list(words)))
    options = {name: given.pop(name) for name in list(given) if name.startswith("_")}
    last = verb["positional"][-1] if verb["positional"] else ""
    if last in given and _takes_words(verb, last):
        given[last] = " ".join(given[last])
        if given[last] == "-":
            given[last] = standard_input()
    optional = {n for n in verb["positional"] if n not in verb["schema"].get("required", ())}
    return regrouped(verb, {n: v for n, v in given.items() if not (n in optional and v in (None, [], ""))}), options


def utf8_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line, read as UTF-8 whatever the locale; raises `ConfigError` for other bytes."""
    said = []
    for number, word in enumerate(words, 1):
        try:
            said.append(os.fsencode(word).decode())
        except UnicodeError as error:
            shown = word.encode(errors="surrogateescape").decode(errors="replace")
            raise ConfigError(f"argument {number} ({shown[:60]!r}) is {fault(error)}; aegis takes UTF-8") from None
    return said


def standard_input() -> str:
    """Return what comes from standard input, read as UTF-8 whatever the locale; raises `ConfigError` for the rest."""
    if (raw := getattr(sys.stdin, "buffer", None)) is None:  # a text in place of it, or it is closed
        return sys.stdin.read() if sys.stdin else ""
    try:
        text: str = raw.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is {fault(error)}") from None
    return text.replace("\r\n", "\n")


def _takes_words(verb: dict[str, Any], name: str) -> bool:
    """Return whether a last positional is text, of which the rest of the line is the words; names are no text."""
    prop = _plain(verb["schema"]["properties"][name], verb["schema"])
    return prop.get("type") == "string" and "enum" not in prop and name not in verb["completes"]


def _plain(prop: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the property with references followed and `or null` left out."""
    while True:
        if "$ref" in prop:
            prop = prop | schema["$defs"][prop["$ref"].rsplit("/", 1)[-1]]
            prop = {k: v for k, v in prop.items() if k != "$ref"}
        elif len(kinds := [p for p in prop.get("anyOf", ()) if p.get("type") != "null"]) == 1:
            prop = {k: v for k, v in prop.items() if k != "anyOf"} | kinds[0]
        elif "const" in prop:
            prop = {k: v for k, v in prop.items() if k != "const"} | {"enum": [prop["const"]]}
        else:
            return prop


def _options(prop: dict[str, Any]) -> dict[str, Any]:
    """Return what argparse needs to know of a property."""
    return _kind(prop) | {"help": _help(prop)}


def _kind(prop: dict[str, Any]) -> dict[str, Any]:
    kind = prop.get("type")
    if kind == "boolean":
        return {"action": argparse.BooleanOptionalAction if prop.get("default") else "store_true"}
    if kind == "array":
        items = prop.get("items", {})
        scalar = _SCALARS.get(items.get("type", ""))
        return {"action": "append", "type": scalar or _json} | ({"choices": items["enum"]} if "enum" in items else {})
    if "enum" in prop and all(isinstance(v, str) for v in prop["enum"]):
        return {"choices": prop["enum"], "metavar": "{" + ",".join(prop["enum"]) + "}"}
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    texts = any(p.get("type") == "string" for p in prop.get("anyOf", ()))
    return {"type": _json_or_text if texts else _json}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _help(prop: dict[str, Any]) -> str:
    default = prop.get("default")
    said = f"{prop.get('description', '')} (default: {default})" if default not in (None, "", False) else ""
    return (said or prop.get("description", "")).strip().replace("%", "%%")
