"""The first screen and the help: what this is, who is here, what can be typed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aegis import events as e
from aegis.errors import Refused, nearest
from aegis_repl import render
from aegis_repl.keys import HELP
from aegis_repl.parse import LOCAL, usage
from aegis_repl.render import Line
from aegis_repl.state import View

ABOUT = "Coding agents that work together: talk to one; mail between them shows as ✉."


def welcome(snapshot: Mapping[str, Any], view: View, profiles: Sequence[str]) -> list[Line]:
    """Return what a person reads first."""
    count = len(view.tabs)
    agents = f"{count} agent{'s' if count != 1 else ''}" if count else "no agents yet"
    lines: list[Line] = [
        [("class:title", f"aegis · {agents} · {_home(str(snapshot.get('root', '')))}")],
        [("class:dim", ABOUT)],
    ]
    for tab in view.tabs:
        ask = [("class:ask", "  waits for your permission")] if tab.asks else []
        name: Line = [(f"class:dot.{tab.state}", "  ● "), ("", f"{tab.number} {tab.handle}")]
        lines.append([*name, ("class:dim", f" ·{tab.profile}· {tab.state}"), *ask])
    config = snapshot.get("config", {})
    if config.get("error"):
        lines += render.event(e.ConfigChanged(error=config["error"]))
    for remark in config.get("remarks", ()):
        lines += render.event(e.Notice(remark, "warning"))
    for fault in snapshot.get("faults", ()):
        lines += render.event(e.Fault(fault["source"], fault["error"], fault["final"]))
    if view.active:
        hint = f"Type to talk to {view.active.handle}, @HANDLE TEXT to another."
    else:
        default = snapshot.get("default_agent")
        start = "What you type starts one" + (f" ({default})" if default else "")
        others = f"; /spawn takes a profile: {', '.join(profiles)}" if profiles else ""
        hint = f"No agent is here yet. {start}{others}."
    return [*lines, [("", hint)], [("", "Ctrl+T new agent · Alt+1…9 switch · Esc stop · /help · Ctrl+Q quit")], []]


def help_on(word: str, verbs: Sequence[Mapping[str, Any]], width: int = sys.maxsize) -> list[Line]:
    """Return the help on one verb, on a group (a plugin, or the first word of verbs), or on what can be typed.

    Raises `Refused` for what is neither.
    """
    word = word.removeprefix("/").strip()
    if not word:
        return _short(verbs, width)
    if word == "all":
        return _listed("Commands", [(usage(verb, options=False), verb["help"]) for verb in verbs], width)
    if word in LOCAL:
        return [[("class:title", f"/{word} {LOCAL[word]}")]]
    found = next((verb for verb in verbs if verb["name"] == word), None)
    group = [v for v in verbs if word == v["plugin"] or v["name"].startswith(f"{word} ")]
    if found is None and group:
        return _listed(word, [(usage(verb, options=False), verb["help"]) for verb in group], width)
    if found is None:
        raise Refused(f"there is no command /{word}.{nearest(word, [v['name'] for v in verbs])}")
    doc = render.clean(found["doc"]).splitlines()
    return [
        [("class:title", usage(found))],
        *([("", f"  {line}")] for line in doc),
        [("class:dim", f"  from aegis-{found['plugin']}")],
    ]


def _short(verbs: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Return what can be typed, the keys, and the names of the commands by plugin."""
    rows = [
        ("text", "to this tab's agent"),
        ("@HANDLE text", "to another agent"),
        ("//text", "text that begins with a slash"),
    ]
    for name, said in LOCAL.items():
        takes, _, what = said.rpartition("  ")
        rows.append((f"/{name} {takes}".rstrip(), what))
    plugins = sorted({verb["plugin"] for verb in verbs})
    named = [(plugin, _names([v["name"] for v in verbs if v["plugin"] == plugin])) for plugin in plugins]
    title = "Commands (/help COMMAND says how one is used, /help GROUP and /help all what each does)"
    return [*_listed("Type", rows, width), *_listed("Keys", HELP, width), *_listed(title, named, width)]


def _names(commands: Sequence[str]) -> str:
    """Return the names of commands, those of one family after its first word: `/enqueue · /task cancel, list`."""
    families: dict[str, list[str]] = {}
    for first, _, second in (name.partition(" ") for name in commands):
        families.setdefault(first, []).extend([second] if second else [])
    return " · ".join(f"/{first} {', '.join(seconds)}".rstrip() for first, seconds in families.items())


def _listed(title: str, rows: Sequence[tuple[str, str]], width: int) -> list[Line]:
    size = min(max(len(left) for left, _ in rows), 30) if rows else 0
    lines: list[Line] = [[("class:title", title)]]
    for left, right in rows:
        line: Line = [("", f"  {left.ljust(size)}"), ("class:dim", f"  {render.first_line(right, 300)}")]
        lines.append(render.clipped(line, width))
    return lines


def _home(path: str) -> str:
    home = str(Path.home())
    return "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path
