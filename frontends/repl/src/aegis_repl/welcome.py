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
    for fault in snapshot.get("faults", ()):
        lines += render.event(e.Fault(fault["source"], fault["error"], fault["final"]))
    if view.active:
        hint = f"Type to talk to {view.active.handle}, @HANDLE TEXT to another."
    else:
        default = snapshot.get("default_agent")
        start = f"What you type starts one ({default})" if default else "Ctrl+N starts one"
        others = f"; /spawn takes a profile: {', '.join(profiles)}" if profiles else ""
        hint = f"No agent is here yet. {start}{others}."
    return [*lines, [("", hint)], [("", "Ctrl+T new agent · Alt+1…9 switch · Esc stop · /help · Ctrl+Q quit")], []]


def help_on(word: str, verbs: Sequence[Mapping[str, Any]], width: int = sys.maxsize) -> list[Line]:
    """Return the help on one verb, or on everything; raises `Refused` for a verb that is not there."""
    word = word.removeprefix("/").strip()
    if not word:
        return _everything(verbs, width)
    if word in LOCAL:
        return [[("class:title", f"/{word} {LOCAL[word]}")]]
    found = next((verb for verb in verbs if verb["name"] == word), None)
    if found is None:
        raise Refused(f"there is no command /{word}.{nearest(word, [v['name'] for v in verbs])}")
    doc = render.clean(found["doc"]).splitlines()
    return [
        [("class:title", usage(found))],
        *([("", f"  {line}")] for line in doc),
        [("class:dim", f"  from aegis-{found['plugin']}")],
    ]


def _everything(verbs: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    rows = [
        ("text", "to the agent of this tab"),
        ("@HANDLE text", "to another agent"),
        ("//text", "a line that begins with a slash"),
    ]
    commands = [(f"/{name}", doc) for name, doc in LOCAL.items()] + [(f"/{v['name']}", v["help"]) for v in verbs]
    lines: list[Line] = []
    for title, part in (("Type", rows), ("Commands", commands), ("Keys", HELP)):
        size = max(len(left) for left, _ in part)
        lines.append([("class:title", title)])
        for left, right in part:
            line: Line = [("", f"  {left.ljust(size)}"), ("class:dim", f"  {render.first_line(right, 300)}")]
            lines.append(render.clipped(line, width))
    return lines


def _home(path: str) -> str:
    home = str(Path.home())
    return "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path
