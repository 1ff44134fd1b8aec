"""What happens as lines for people: text once it is whole, tools, mail, how turns ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from aegis.envelope import Envelope
from aegis.events import (
    AgentChanged,
    Background,
    ConfigChanged,
    Delivered,
    Event,
    Fault,
    Gap,
    Notice,
    PermissionAnswered,
    PermissionAsked,
    Plan,
    PluginsChanged,
    Text,
    ToolCall,
    ToolResult,
    TurnEnded,
)
from aegis_printable.printable import printable, printable_line
from aegis_printable.tools import tool_call, tool_result

STAYS = "the configuration of before stays in force"
_LINE = 110  # columns of what is only hinted at
_MARKS = {"pending": "○", "in_progress": "◐", "completed": "●"}


class Transcript:
    """Folds events into entries; chunks of one message become one entry."""

    def __init__(self, handle_of: Callable[[str], str]) -> None:
        """Name agents by `handle_of` their id."""
        self._handle_of = handle_of
        self._said: dict[str, tuple[str, list[str]]] = {}
        self._states: dict[str, str] = {}

    def take(self, agent_id: str, event: Event) -> Iterator[str]:
        """Yield the entries that this event completes; an entry may have several lines."""
        if isinstance(event, Text):
            if not event.parent:
                yield from self._text(agent_id, event)
            return
        who = self._handle_of(agent_id)
        if entry := self._entry(agent_id, who, event):
            yield from self.rest(agent_id)
            yield entry

    def rest(self, agent_id: str) -> Iterator[str]:
        """Yield what the agent said so far as an entry."""
        _, parts = self._said.pop(agent_id, ("", []))
        if text := "".join(parts).strip():
            yield f"{self._handle_of(agent_id)}: {_indented(text)}"

    def _text(self, agent_id: str, event: Text) -> Iterator[str]:
        message, _ = self._said.get(agent_id, (event.message_id, []))
        if message != event.message_id:
            yield from self.rest(agent_id)
        self._said.setdefault(agent_id, (event.message_id, []))[1].append(event.text)

    def _entry(self, agent_id: str, who: str, event: Event) -> str:
        match event:
            case Delivered():
                return _mail(msgspec.convert(event.envelope, Envelope), who)
            case ToolCall(parent=""):
                return f"{who} · {tool_call(event.name, event.title, event.input, longest=_LINE)}"
            case ToolResult(parent="", is_error=True):
                return f"{who} · error: {tool_result(event.text, longest=_LINE)}"
            case ToolResult(parent="", diff=(path, _, _)):
                return f"{who} · changed {printable_line(path)}"
            case ToolResult(parent="", text=said) if said.strip():
                return f"{who} · result: {tool_result(said, longest=_LINE)}"
            case Plan():
                return f"{who} plans\n" + "\n".join(
                    f"  {_MARKS[e.status]} {printable_line(e.content)}" for e in event.entries
                )
            case PermissionAsked():
                what = printable_line(event.title or event.tool)
                return f"{who} asks permission to {event.kind}: {what} (request {event.id})"
            case PermissionAnswered():
                return f"{who}'s request {event.id} was {event.outcome}" + _because(event.reason)
            case TurnEnded():
                known = f", ${event.cost_usd:.4f}" if event.cost_usd else ""
                cost = ", cost unknown" if event.cost_usd is None else known
                return f"{who} -- turn {event.outcome} in {event.seconds:.1f} s{cost}{_because(event.reason)}"
            case Background(tasks):
                return f"{who} works beside its turns at: {printable_line('; '.join(tasks))}" if tasks else ""
            case Notice():
                return f"{who or event.source} ! {_indented(event.text)}"
            case Fault():
                return f"{event.source} ! {_indented(event.error)}"
            case PluginsChanged() | ConfigChanged():
                return changed(event)
            case Gap():
                return f"… {event.missed or 'some'} events were missed"
            case AgentChanged(agent={"state": state}) if state in ("failed", "closed"):
                if self._states.get(agent_id) != state:
                    self._states[agent_id] = state
                    return f"{who} is {state}" + _because(event.agent.get("reason") or "")
        return ""


def changed(event: PluginsChanged | ConfigChanged) -> str:
    """Return what changed while the kernel runs, or why a changed file is not in force."""
    if isinstance(event, PluginsChanged):
        return f"plugins: {', '.join([*(f'+{n}' for n in event.entered), *(f'-{n}' for n in event.left)])}"
    if event.error:
        return f"{_indented(event.error)}; {STAYS}"
    return f"configuration changed: {', '.join(event.sections)}" + (f" (by {event.who})" if event.who else "")


def _mail(envelope: Envelope, who: str) -> str:
    if envelope.sender.startswith("human:"):
        return f"{envelope.sender} → {who}: {_indented(envelope.body)}"
    head, _, body = envelope.short(lines=12).partition("\n")
    return f"{head} → {who}\n{body}"


def _indented(text: str) -> str:
    return "\n  ".join(printable(text).splitlines())


def _because(reason: str) -> str:
    return f": {_indented(reason)}" if reason else ""
