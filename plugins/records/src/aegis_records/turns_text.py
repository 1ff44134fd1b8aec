"""A transcript as text: what was read, said and done in the last turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aegis import Envelope, Reply
from aegis.events import Event, Text, ToolCall, ToolResult, TurnEnded, TurnStarted
from aegis_printable.tools import tool_call, tool_result


def turns_text(events: Iterable[Event], envelope: Callable[[str], Envelope]) -> str:
    """Return turns as text; chunks of one message are joined, sub-agents left out."""
    blocks: list[str] = []
    message: str | None = None
    for event in events:
        if isinstance(event, Text):
            if event.parent:
                continue
            if blocks and event.message_id == message:
                blocks[-1] += event.text
            else:
                blocks.append(event.text)
            message = event.message_id
        elif shown := _block(event, envelope):
            blocks.append(shown)
            message = None
    return "\n\n".join(blocks)


def last_words(events: Iterable[Event]) -> str:
    """Return the final message of a turn as far as it came, whole; empty when nothing was said in it."""
    said = Reply()
    for event in events:
        said.hear(event)
    return str(said)


def _block(event: Event, envelope: Callable[[str], Envelope]) -> str:
    match event:
        case TurnStarted():
            return "\n\n".join(envelope(e).rendered() for e in event.envelopes)
        case ToolCall(parent=""):
            return f"[{event.kind}] {tool_call(event.name, event.title, event.input)}"
        case ToolResult(parent=""):
            said = tool_result(event.text)
            return f"[error] {said}" if event.is_error else f"[result] {said}" if said else ""
        case TurnEnded():
            known = f", ${event.cost_usd:.4f}" if event.cost_usd else ""
            cost = ", cost unknown" if event.cost_usd is None else known
            why = f": {event.reason}" if event.reason else ""
            return f"-- turn {event.outcome} in {event.seconds:.1f} s{cost}{why}"
    return ""
