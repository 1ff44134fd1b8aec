"""What stands around the prompt: the tabs, the status of the active one, and what is being said or asked; pure."""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth

from aegis_repl.render import Line, first_line, money
from aegis_repl.state import Face, View

LIVE_ROWS = 3
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def tabs(view: View, width: int) -> Line:
    """Return the tab bar: as many tabs as fit, the active one always among them, `‹` and `›` where more are."""
    if not view.faces:
        return [("class:dim", " no agents · Ctrl+T starts one"[:width])]
    cells = [_cell(face) for face in view.faces]
    here = next((i for i, face in enumerate(view.faces) if face.active), 0)
    room = width - 4
    low = high = here
    used = _width(cells[here])
    while True:
        if high + 1 < len(cells) and used + _width(cells[high + 1]) + 2 <= room:
            high += 1
            used += _width(cells[high]) + 2
        elif low > 0 and used + _width(cells[low - 1]) + 2 <= room:
            low -= 1
            used += _width(cells[low]) + 2
        else:
            break
    line: Line = [("class:mark", "‹ " if low else " ")]
    for i in range(low, high + 1):
        line += [*cells[i], ("", "  " if i < high else "")]
    return [*line, ("class:mark", " ›" if high + 1 < len(cells) else "")]


def _cell(face: Face) -> Line:
    style = "class:tab.active" if face.active else "class:tab"
    mark = "?" if face.asks else "*" if face.unseen else ""
    cell: Line = [
        (f"class:dot.{face.state}", "● "),
        (style, f"{face.number} {face.handle}"),
        ("class:dim", f" ·{face.profile}·"),
    ]
    return [*cell, ("class:mark", f" {mark}")] if mark else cell


def _width(cell: Line) -> int:
    return sum(get_cwidth(text) for _, text in cell)


def status(view: View, width: int, now: float) -> Line:
    """Return the status line of the active agent; what does not fit is left out from the right."""
    face = view.active
    if face is None:
        return [("class:dim", " /spawn PROFILE · /help · Ctrl+Q"[:width])]
    parts: Line = [
        ("", f" {face.handle} ·{face.profile}·"),
        ("class:dim", f"{face.model or 'default'}/{face.permission}"),
    ]
    parts.append((f"class:dot.{face.state}", f"{face.state}{_elapsed(face, now)}"))
    if face.queued:
        parts.append(("class:mark", f"✉ {face.queued} queued"))
    if face.seen_tokens or face.said_tokens:
        cached = f" ({100 * face.cached_tokens // face.seen_tokens}% cached)" if face.cached_tokens else ""
        parts.append(("", f"↑{_count(face.seen_tokens)}{cached} ↓{_count(face.said_tokens)}"))
    if face.cost_usd:
        parts.append(("", money(face.cost_usd)))
    parts += [("class:warning", first_line(note)) for note in face.notes]
    line: Line = []
    used = 0
    for style, text in parts:
        text = ("  " if line else "") + text
        used += get_cwidth(text)
        if used > width and line:
            break
        line.append((style, text))
    return line


def above_prompt(view: View, width: int, now: float) -> Line:
    """Return what stands between transcript and input: the unfinished line, the spinner, the question, the prompt."""
    rows: list[Line] = []
    if view.live:
        *lead, (style, text) = view.live
        rows.append([*lead, (style, _tail(text, width * LIVE_ROWS - _width(lead)))])
    face = view.active
    if face and face.state in ("working", "starting") and not view.live and not view.question:
        spin = _SPIN[int(now) % len(_SPIN)]
        hint = "  Esc stops it" if face.state == "working" else ""
        rows.append([("class:dot.working", f"{spin} {face.state}…{_elapsed(face, now)}"), ("class:dim", hint)])
    if view.question:
        rows.append([("class:ask", f"? {view.question}")])
        rows.append([("class:dim", "  y allows once · a always, for this agent · n [why] denies")])
    if view.confirm:
        rows.append([("class:ask", f"? {view.confirm}"), ("class:dim", "  y / n")])
    line: Line = []
    for row in rows:
        line += [*row, ("", "\n")]
    return [*line, ("class:prompt.handle", f"{face.handle if face else 'aegis'} "), ("class:you", "› ")]


def _tail(text: str, cells: int) -> str:
    """Return the end of the text that fits, marked when something is left out."""
    if get_cwidth(text) <= cells:
        return text
    kept = text[-cells + 1 :]
    while kept and get_cwidth(kept) > cells - 1:
        kept = kept[1:]
    return "…" + kept


def _elapsed(face: Face, now: float) -> str:
    if face.since is None:
        return ""
    seconds = int(max(0.0, now - face.since))
    return f" {seconds}s" if seconds < 60 else f" {seconds // 60}m{seconds % 60:02d}s"


def _count(tokens: int) -> str:
    if tokens < 1_000:
        return str(tokens)
    return (
        f"{tokens / 1_000:.1f}k"
        if tokens < 10_000
        else f"{tokens // 1_000}k"
        if tokens < 1_000_000
        else f"{tokens / 1e6:.1f}M"
    )
