"""An event, an envelope or a verb's answer as styled lines: pure, and deaf to control sequences in what agents say.

A line is a list of (style, text); the styles are the class names of `styles`.
"""

from __future__ import annotations

import json
import os.path
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from prompt_toolkit.utils import get_cwidth

from aegis import events as e
from aegis.envelope import Envelope, Receipt
from aegis.errors import AegisError
from aegis_printable.printable import printable, printable_line
from aegis_printable.tools import tool_call, tool_name, tool_result

Line = list[tuple[str, str]]

LONGEST = 4_000  # characters of one line; more is broken into several
DIFF_ROWS = 6
_WANTED = 600  # characters of what an agent asks for
GLYPHS = {
    "read": "📖", "edit": "✏️", "execute": "⌬", "search": "🔎", "think": "✻", "fetch": "🌐", "move": "➡️", "delete": "🗑",
    "switch_mode": "🔄",
}  # fmt: skip
_HEADER = re.compile(r"> from (\S+ · \S+)$")
_PLAN = {"completed": "●", "in_progress": "◐", "pending": "○"}


def clean(text: str) -> str:
    """Return the text with every character seen as what it is; tabs become spaces."""
    return printable(text).expandtabs(4)


def first_line(text: str, limit: int = 100) -> str:
    """Return the first line that says something, at most `limit` characters of it."""
    line = next((printable_line(said) for line in text.splitlines() if (said := line.strip())), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def event(happened: e.Event) -> list[Line]:
    """Return what is shown of an event; of one that only moves the bars, nothing."""
    match happened:
        case e.Text() | e.Thought():
            return [speech(happened, line) for line in happened.text.split("\n")]
        case e.ToolCall():
            return [_inside(happened.parent, [("class:tool", _tool(happened))])]
        case e.ToolResult():
            return [_inside(happened.parent, line) for line in _result(happened)]
        case e.Plan():
            return _plan(happened)
        case e.Background():
            return [[("class:dim", f"⧗ beside its turns: {clean('; '.join(happened.tasks)) or 'nothing any more'}")]]
        case e.Notice():
            source = f"{clean(happened.source)}: " if happened.source else ""
            return _block(f"class:{happened.level}", "· ", source + clean(happened.text))
        case e.PermissionAsked():
            return [[("class:ask", f"? asks to use {wants(happened)}")]]
        case e.PermissionAnswered():
            return [[("class:dim", f"  └ {outcome(happened)}")]]
        case e.TurnEnded():
            return [ending(happened)]
        case e.Delivered():
            return delivered(happened)
        case e.VerbsChanged():
            return _came_and_went("verbs", happened.added, happened.removed)
        case e.PluginsChanged():
            return _came_and_went("plugins", happened.entered, happened.left)
        case e.ConfigChanged():
            return _config(happened)
        case e.Fault():
            end = "; it is not started again" if happened.final else ""
            return _block("class:error", "✗ ", clean(f"{happened.source}: {happened.error}{end}"))
        case e.Gap():
            count = f"{happened.missed:,} events" if happened.missed else "events"
            return [[("class:warning", f"· {count} went by unseen: this screen was too slow, or away")]]
        case e.Unknown():
            return [[("class:dim", f"· {first_line(json.dumps(happened.raw, default=str, ensure_ascii=False))}")]]
    return []


def speech(said: e.Text | e.Thought, line: str) -> Line:
    """Return one line of what an agent says or thinks; a sub-agent's is set apart."""
    style = "class:dim" if said.parent else "class:thought" if isinstance(said, e.Thought) else ""
    return _inside(said.parent, [(style, clean(line))])


def delivered(news: e.Delivered, me: str = "") -> list[Line]:
    """Return a person's words to an agent as they were typed, and all other mail as a block."""
    try:
        envelope = msgspec.convert(news.envelope, Envelope)
    except msgspec.ValidationError:
        return event(e.Unknown(news.envelope))
    waits = (
        f"  · waits, {news.position} in line" if news.position and not envelope.recipient.startswith("human:") else ""
    )
    if envelope.sender.startswith("human:") and not envelope.task_id:
        who = "› " if envelope.sender == me or not me else f"{clean(envelope.sender)} › "
        lines = _block("class:you", who, clean(envelope.body))
    else:
        safe = msgspec.structs.replace(envelope, body=clean(envelope.body), sender=first_line(envelope.sender))
        head, *body = safe.short().splitlines()
        to = " → you" if me and envelope.recipient == me else ""
        lines = [[("class:mail", head + to)], *([("class:body", line)] for line in body)]
    if waits:
        lines[0] = [*lines[0], ("class:dim", waits)]
    return lines


def ending(ended: e.TurnEnded) -> Line:
    """Return the line that closes a turn: how it ended, how long it took, what it cost."""
    word = {"completed": "done", "cancelled": "stopped"}.get(ended.outcome, ended.outcome)
    parts = [f"{word} in {ended.seconds:.1f}s" if ended.seconds else word]
    if ended.cost_usd is None:
        parts.append("cost unknown")
    elif ended.cost_usd:
        parts.append(money(ended.cost_usd))
    if ended.reason and ended.reason not in ("end_turn", ended.outcome):
        parts.append(first_line(ended.reason, 300))
    bad = ended.outcome in ("failed", "refused", "truncated", "interrupted")
    return [("class:error" if bad else "class:end", f"── {' · '.join(parts)} ──")]


def wants(asked: e.PermissionAsked) -> str:
    """Return the tool and what it would do, on one line; where that is long, how much of it is not shown."""
    tool, title = tool_name(asked.tool), asked.title.removeprefix(f"{asked.tool} ")
    command = asked.input.get("command") if isinstance(asked.input, dict) else None
    if isinstance(command, str) and command not in title:
        title = command
    line = printable_line(tool + (f": {title}" if title and title != asked.tool else ""))
    more = len(line) - _WANTED
    return line if more <= 0 else f"{line[:_WANTED]}… and {more} characters more (/approvals show {asked.id})"


def outcome(ended: e.PermissionAnswered) -> str:
    """Return how a request ended and why, on one line."""
    outcome, reason = ended.outcome, first_line(ended.reason)
    return reason if reason.startswith(outcome) else f"{outcome}: {reason}" if reason else outcome


def money(dollars: float) -> str:
    """Return a cost with as many digits as it needs to be seen."""
    return f"${dollars:.4f}" if 0 < dollars < 0.01 else f"${dollars:.3f}" if dollars < 1 else f"${dollars:,.2f}"


def recalled(text: str, most: int) -> list[Line]:
    """Return the end of a turn that the records have: the headers of its messages as mail is shown, the rest dim."""
    if not any(map(_HEADER.match, text.splitlines())):
        return []  # it had no turn yet
    lines: list[Line] = []
    for line in clean(text).splitlines():
        if head := _HEADER.match(line):
            lines.append([("class:dim", f"✉ from {head[1]}")])
        elif not line.startswith("> id "):
            lines.append([("class:dim", line)])
    return lines[-most:]


def clipped(line: Line, width: int) -> Line:
    """Return as much of the line as fits, marked when something is left out."""
    if sum(get_cwidth(text) for _, text in line) <= width:
        return line
    kept: Line = []
    room = width - 1
    for style, text in line:
        fits = text[: max(0, room)]
        while get_cwidth(fits) > room:
            fits = fits[:-1]
        kept.append((style, fits))
        room -= get_cwidth(fits)
        if fits != text:
            break
    return [*kept, (kept[-1][0], "…")]


def answer(value: Any, width: int = sys.maxsize) -> list[Line]:
    """Return what a verb gave back: a text, a table, or `name  value` rows."""
    if value is None or value is True:
        return [[("class:dim", "done")]]
    if isinstance(value, str):
        return [[("", line)] for line in clean(value).splitlines()]
    if isinstance(value, Mapping):
        try:
            return [[("class:dim", clean(str(msgspec.convert(value, Receipt))))]]
        except msgspec.ValidationError:
            return _fields(value)
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return [clipped(line, width) for line in _table(value)]
    if isinstance(value, list):
        return [[("", _cell(item, 500))] for item in value] or [[("class:dim", "nothing")]]
    return [[("", _cell(value, 500))]]


def _fields(value: Mapping[str, Any]) -> list[Line]:
    """Return names and values that say something; texts of several lines stand below."""
    shown = {clean(str(name)): v for name, v in value.items() if not _blank(v)}
    long = {name: v for name, v in shown.items() if isinstance(v, str) and "\n" in v.strip()}
    short = [[("class:dim", f"{name}  "), ("", _cell(v, 500))] for name, v in shown.items() if name not in long]
    return [*short, *([("", line)] for text in long.values() for line in clean(text).rstrip().splitlines())]


def refusal(error: Exception) -> list[Line]:
    """Return why something was not done; what is no refusal is a fault and named as one."""
    text = str(error) if isinstance(error, AegisError) else f"{type(error).__name__}: {error}"
    return _block("class:error", "✗ ", clean(text))


def _cell(value: Any, limit: int = 60) -> str:
    return first_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), limit)


def _blank(value: Any) -> bool:
    """Return whether this says nothing; zero says something."""
    return value is None or value is False or value in ("", [], {})


def _table(rows: list[Mapping[str, Any]]) -> list[Line]:
    """Return rows under their names; columns in which nothing stands are left out."""
    every = dict.fromkeys(name for row in rows for name in row)
    blank = {name: all(_blank(row.get(name)) for row in rows) for name in every}
    names = [name for name in every if not blank[name]]
    cells = [["" if _blank(row.get(name)) else _cell(row.get(name)) for name in names] for row in rows]
    widths = [max(get_cwidth(name), *(get_cwidth(row[i]) for row in cells)) for i, name in enumerate(names)]

    def laid(row: Iterable[str]) -> str:
        padded = (cell + " " * (width - get_cwidth(cell)) for cell, width in zip(row, widths, strict=True))
        return "  ".join(padded).rstrip()

    return [[("class:dim", laid(names))], *([("", laid(row))] for row in cells)]


def _block(style: str, lead: str, text: str) -> list[Line]:
    first, *rest = text.splitlines() or [""]
    return [[(style, lead + first)], *([(style, "  " + line)] for line in rest)]


def _inside(parent: str, line: Line) -> Line:
    return [("class:dim", "  │ "), *(("class:dim", text) for _, text in line)] if parent else line


def _tool(call: e.ToolCall) -> str:
    place, _, number = call.locations[0].rpartition(":") if call.locations else ("", "", "")
    if place and number.isdigit():
        hint = f"{os.path.basename(place)}:{number}"  # noqa: PTH119  a path of the agent's world, perhaps not of ours
    elif call.locations:
        hint = os.path.basename(call.locations[0])  # noqa: PTH119
    else:
        return f"{GLYPHS.get(call.kind, '⏺')} {tool_call(call.name, call.title, call.input, longest=100)}"
    return f"{GLYPHS.get(call.kind, '⏺')} {tool_call(call.name, hint, longest=100)}"


def _result(result: e.ToolResult) -> list[Line]:
    said = tool_result(result.text, longest=100)
    word = "error" if result.is_error else "ok"
    head: Line = [("class:error" if result.is_error else "class:dim", f"  └ {word} {said}".rstrip())]
    return [head, *(diff(*result.diff) if result.diff and not result.is_error else [])]


def diff(path: str, old: str, new: str) -> list[Line]:
    """Return what changed, without the lines at both ends that are the same, in at most `DIFF_ROWS` rows."""
    before, after = clean(old).splitlines(), clean(new).splitlines()
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    rows: list[Line] = [[("class:removed", f"    - {line}")] for line in before[start : len(before) - end]]
    rows += [[("class:added", f"    + {line}")] for line in after[start : len(after) - end]]
    if len(rows) > DIFF_ROWS:
        return [*rows[:DIFF_ROWS], [("class:dim", f"    … {len(rows) - DIFF_ROWS} more lines")]]
    return rows


def _plan(plan: e.Plan) -> list[Line]:
    done = sum(entry.status == "completed" for entry in plan.entries)
    head: Line = [("class:plan", f"📋 Plan — {done}/{len(plan.entries)} done")]
    lines: list[Line] = [head]
    for entry in plan.entries:
        style = "class:dim" if entry.status == "completed" else ""
        lines.append([(style, f"  {_PLAN[entry.status]} {first_line(entry.content)}")])
    return lines


def _came_and_went(what: str, came: Iterable[str], went: Iterable[str]) -> list[Line]:
    parts = [f"{sign}{name}" for sign, names in (("+", came), ("-", went)) for name in names]
    return [[("class:dim", f"· {what}: {first_line(', '.join(parts), 300)}")]]


def _config(changed: e.ConfigChanged) -> list[Line]:
    if changed.error:
        return _block("class:error", "✗ ", f"{clean(changed.error)}\nThe configuration of before stays in force.")
    by = f" (by {clean(changed.who)})" if changed.who else ""
    return [[("class:dim", f"· configuration changed: {first_line(', '.join(changed.sections), 300)}{by}")]]
