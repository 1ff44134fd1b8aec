"""`aegis --help` and `aegis help`: the commands of every day by task, the others by group."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

from aegis.errors import ConfigError, nearest
from aegis_cli import render
from aegis_cli.arguments import verb_parser
from aegis_cli.shell import COMMANDS, Shell, find_verb, installed_index, known_verbs, own_parser
from aegis_printable.printable import printable

OWN = "cli"  # the group of the commands that are no verbs
EVERY_DAY = {  # by task; a command that is not installed is left out
    "start and stop": ("serve", "stop", "doctor"),
    "talk to agents": ("spawn", "send", "interrupt", "close"),
    "look": ("sessions", "events", "transcript", "message inbox"),
    "approve": ("approvals list", "approvals allow", "approvals deny"),
    "hand out work": ("enqueue",),
}
_FLAGS = ("--help", "-h")
_FEW = 4  # commands of a group that are named in its line
_MORE = "more, by group (`aegis help GROUP` lists its commands, `aegis help --all` lists all)"
_USAGE = """\
usage: aegis [-a PROFILE] [--clean] [--trust]  a REPL on this project; its kernel is started if none runs
       aegis [-C DIR] [--json] COMMAND …       one command; `aegis COMMAND --help` says more"""
_OPTIONS = (
    ("-C, --project DIR", "the project's folder (default: the closest with an .aegis.yaml)"),
    ("--json", 'print one object: {"v":1,"ok":true,"value":…} or {"v":1,"ok":false,"error":{…}}'),
    ("-a, --agent PROFILE", "spawn an agent of this profile at the start"),
    ("--trust", "trust the project as it is (`aegis trust` shows what it would run)"),
    ("--clean", "close the agents of the last time first"),
    ("--version", "print the version"),
)
_EXIT_CODES = "exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused, 4 no such thing, 130 interrupted"


def run(shell: Shell, words: Sequence[str]) -> int:
    """Print the help on everything, on a group, or on one command."""
    parser = own_parser("help")
    parser.add_argument("--all", action="store_true", help="list every command")
    parser.add_argument("topic", metavar="GROUP or COMMAND", nargs="*", help="of this group or command only")
    given = vars(parser.parse_intermixed_args(words))
    shell, topic = shell.with_options(given), given.get("topic") or []
    if not topic:
        summaries = {row["name"]: row["summary"] for row in installed_index().load()["plugins"]}
        print(overview(known_verbs(shell.project), summaries, everything=given.get("all", False)))
        return 0
    if " ".join(topic) in COMMANDS:
        module, _, function = COMMANDS[" ".join(topic)][0].partition(":")
        return int(getattr(import_module(module), function or "run")(shell, ["--help"]))
    verbs = known_verbs(shell.project)
    verb, rest = find_verb(verbs, topic)
    if verb and not rest:
        print(printable(verb_parser(verb).format_help()), end="")
        return 0
    return group(topic, verbs, asked=True)


def group(words: Sequence[str], verbs: Sequence[Mapping[str, Any]], *, asked: bool = False) -> int:
    """Print the commands of the group that the words name; raises `ConfigError` when there is no such command.

    A group is a plugin, or the first word of commands. Unless help was asked for, a group alone is a mistake.
    """
    first, two = words[0], " ".join(words[:2])
    rows = [(usage(v), v["help"]) for v in verbs if first == v["plugin"] or v["name"].startswith(f"{first} ")]
    rows += [(n, text) for n, (_, text) in COMMANDS.items() if text and (first == OWN or n.startswith(f"{first} "))]
    names = [*(v["name"] for v in verbs), *(n for n, (_, text) in COMMANDS.items() if text)]
    if not rows:
        raise ConfigError(f"there is no command {first!r}.{nearest(two, names)} `aegis --help` lists the commands")
    asked = asked or (len(words) > 1 and words[1] in _FLAGS)
    if len(words) > 1 and words[1] not in _FLAGS:
        raise ConfigError(f"there is no command {two!r}.{nearest(two, names)}")
    print(listed(rows))
    return 0 if asked else ConfigError.exit_code


def overview(verbs: Sequence[Mapping[str, Any]], summaries: Mapping[str, str], *, everything: bool = False) -> str:
    """Return the help on everything: in short, or with every command; `summaries` say what each plugin is for."""
    groups: dict[str, dict[str, tuple[str, str]]] = {OWN: {n: (n, text) for n, (_, text) in COMMANDS.items() if text}}
    for verb in verbs:
        groups.setdefault(verb["plugin"], {})[verb["name"]] = (usage(verb), verb["help"])
    parts = [_USAGE]
    if everything:
        parts += [f"{name}\n{listed(list(rows.values()))}" for name, rows in sorted(groups.items())]
    else:
        known = {name: row for rows in groups.values() for name, row in rows.items()}
        daily = {task: [name for name in names if name in known] for task, names in EVERY_DAY.items()}
        parts += [f"{task}\n{listed([known[n] for n in names])}" for task, names in daily.items() if names]
        seen = {name for names in daily.values() for name in names}
        further = {name: rows.keys() - seen for name, rows in groups.items()}
        rest = [(name, _about(names, summaries.get(name, ""))) for name, names in sorted(further.items()) if names]
        parts.append(f"{_MORE}\n{listed(rest)}")
    return "\n\n".join([*parts, f"options\n{listed(_OPTIONS)}", _EXIT_CODES])


def _about(commands: Collection[str], summary: str) -> str:
    """Return the names of a few commands, or else what their package says of itself."""
    few = len(commands) <= _FEW or not summary
    return ", ".join(sorted(commands)) if few else summary.rstrip(".")


def usage(verb: Mapping[str, Any]) -> str:
    """Return the command with its positional parameters, the optional ones in brackets."""
    required = verb["schema"].get("required", ())
    return " ".join([verb["name"], *(p.upper() if p in required else f"[{p.upper()}]" for p in verb["positional"])])


def listed(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and what they do as aligned lines, cut where a terminal ends."""
    size, width = 26, render.width_of(sys.stdout)
    lines = []
    for name, text in rows:
        room = max(20, width - size - 4)
        cut = text if len(text) <= room else text[: room - 1] + "…"
        lines.append(f"  {name:<{size}} {cut}" if len(name) <= size else f"  {name}\n  {'':<{size}} {cut}")
    return "\n".join(lines)
