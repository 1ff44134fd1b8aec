"""What stands around the prompt: the tabs, the status of the active one, and what is being said or asked; pure."""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth

from aegis_repl.render import Line, first_line, money
from aegis_repl.state import TabView, View

LIVE_ROWS = 3
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def tabs(view: View, width: int) -> Line:
    """Return the tab bar: as many tabs as fit, the active one always among them, `‹` and `›` where more are."""
    if not view.known:
        return [("class:dim", " …"[:width])]
    if not view.tabs:
        return [("class:dim", " no agents · Ctrl+T starts one"[:width])]
    cells = [_cell(tab) for tab in view.tabs]
    here = next((i for i, tab in enumerate(view.tabs) if tab.active), 0)
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


def _cell(tab: TabView) -> Line:
    style = "class:tab.active" if tab.active else "class:tab"
    mark = "?" if tab.asks else "*" if tab.unseen else ""
    cell: Line = [
        (f"class:dot.{tab.state}", "● "),
        (style, f"{tab.number} {tab.handle}"),
        ("class:dim", f" ·{tab.profile}·"),
    ]
    return [*cell, ("class:mark", f" {mark}")] if mark else cell


def _width(cell: Line) -> int:
    return sum(get_cwidth(text) for _, text in cell)


def status(view: View, width: int, now: float) -> Line:
    """Return the status line of the active agent; what does not fit is left out from the right."""
    tab = view.active
    if tab is None and not view.known:
        return []
    if tab is None:
        return [("class:dim", " /spawn PROFILE · /help · Ctrl+Q"[:width])]
    parts: Line = [
        ("", f" {tab.handle} ·{tab.profile}·"),
        ("class:dim", f"{tab.model or 'default'}/{tab.permission}"),
    ]
    parts.append((f"class:dot.{tab.state}", f"{tab.state}{_elapsed(tab, now)}"))
    if tab.queued:
        parts.append(("class:mark", f"✉ {tab.queued} queued"))
    if tab.seen_tokens or tab.said_tokens:
        cached = f" ({100 * tab.cached_tokens // tab.seen_tokens}% cached)" if tab.cached_tokens else ""
        parts.append(("", f"↑{_count(tab.seen_tokens)}{cached} ↓{_count(tab.said_tokens)}"))
    if tab.cost_usd or tab.cost_unknown:
        told = [money(tab.cost_usd)] if tab.cost_usd else []
        parts.append(("", " + ".join([*told, *(["unknown cost"] if tab.cost_unknown else [])])))
    parts += [("class:warning", first_line(note)) for note in tab.notes]
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
    tab = view.active
    if tab and tab.state in ("working", "starting") and not view.live and not view.question:
        spin = _SPIN[int(now) % len(_SPIN)]
        hint = "  Esc stops it" if tab.state == "working" else ""
        rows.append([("class:dot.working", f"{spin} {tab.state}…{_elapsed(tab, now)}"), ("class:dim", hint)])
    if view.question:
        rows.append([("class:ask", f"? {view.question}")])
        rows.append([("class:dim", "  y allows once · a always, for this agent · n [why] denies")])
    if view.confirm:
        rows.append([("class:ask", f"? {view.confirm}"), ("class:dim", "  y / n")])
    line: Line = []
    for row in rows:
        line += [*row, ("", "\n")]
    return [*line, ("class:prompt.handle", f"{tab.handle if tab else 'aegis'} "), ("class:you", "› ")]


def _tail(text: str, cells: int) -> str:
    """Return the end of the text that fits, marked when something is left out."""
    if get_cwidth(text) <= cells:
        return text
    kept = text[-cells + 1 :]
    while kept and get_cwidth(kept) > cells - 1:
        kept = kept[1:]
    return "…" + kept


def _elapsed(tab: TabView, now: float) -> str:
    if tab.since is None:
        return ""
    seconds = int(max(0.0, now - tab.since))
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
