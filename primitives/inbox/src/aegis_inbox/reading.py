"""A transcript as text: what was read, said and done in the last turns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aegis import Envelope
from aegis.events import Delivered, Event, Text, ToolCall, ToolResult, TurnEnded, TurnStarted

_LONGEST_RESULT = 200


def recent_turns(transcript: Sequence[tuple[str, Event]], turns: int) -> str:
    """Return the last `turns` turns as text; chunks of one message are joined, sub-agents left out."""
    starts = [i for i, (_, event) in enumerate(transcript) if isinstance(event, TurnStarted)]
    if not starts:
        return ""
    first = starts[-turns] if len(starts) >= turns else starts[0]
    while first and isinstance(transcript[first - 1][1], Delivered):  # the mail stands right before its turn
        first -= 1
    lines: list[str] = []
    said: list[str] = []
    message = ""
    for _, event in transcript[first:]:
        if isinstance(event, Text) and not event.parent:
            if said and event.message_id != message:
                lines += ["".join(said)]
                said = []
            said.append(event.text)
            message = event.message_id
            continue
        shown = _line(event)
        if shown and said:
            lines += ["".join(said)]
            said = []
        lines += [shown] if shown else []
    if said:
        lines.append("".join(said))
    return "\n\n".join(lines)


def _line(event: Event) -> str:
    match event:
        case Delivered():
            return msgspec.convert(event.envelope, Envelope).rendered()
        case ToolCall(parent=""):
            return f"[{event.kind}] {event.title or event.name}"
        case ToolResult(parent="", is_error=True):
            return f"[error] {event.text[:_LONGEST_RESULT]}"
        case TurnEnded():
            cost = f", ${event.cost_usd:.4f}" if event.cost_usd else ""
            why = f": {event.reason}" if event.reason else ""
            return f"-- turn {event.outcome} in {event.seconds:.1f} s{cost}{why}"
    return ""
