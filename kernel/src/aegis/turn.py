"""One turn: a prompt and everything up to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import trio

from aegis.events import Event, Outcome, Text, ToolCall, TurnEnded, Usage
from aegis.mailbox import Letter

MOST = 4_000_000  # characters of one message that are kept


class Reply:
    """The final assistant message so far, whole: chunks of one message joined, sub-agents left out."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._message, self._closed, self._size = "", False, 0

    def hear(self, event: Event) -> None:
        """Add what was said; another message, or words after a tool, begin anew."""
        if isinstance(event, ToolCall):  # ends the run of chunks that carry no message id
            self._closed = self._closed or not (event.parent or self._message)
        elif isinstance(event, Text) and not event.parent:
            if self._closed or event.message_id != self._message:
                self._parts.clear()
                self._size = 0
            if (room := MOST - self._size) > 0:
                self._parts.append(event.text[:room])
            self._size += len(event.text)
            self._message, self._closed = event.message_id, False

    def __str__(self) -> str:
        cut = f"\n(What came after {MOST:,} characters was cut off.)" if self._size > MOST else ""
        return "".join(self._parts) + cut


@dataclass(slots=True)
class Turn:
    """The turn an agent is in; interceptors may rewrite `prompt` before it is sent."""

    id: str
    agent_id: str
    letters: Sequence[Letter]
    prompt: str
    started: float = field(default_factory=trio.current_time)
    begun: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    ended: TurnEnded | None = None
    sent: bool = False
    heard: bool = False
    interrupted: bool = False
    why: str = ""
    reply: Reply = field(default_factory=Reply)
    usage: Usage | None = None

    @property
    def envelopes(self) -> tuple[str, ...]:
        """The ids of what is read in this turn."""
        return tuple(x.envelope.id for x in self.letters)

    @property
    def trace(self) -> str:
        """The trace of the first envelope; everything the turn causes belongs to it."""
        return self.letters[0].envelope.trace if self.letters else ""

    @property
    def hops(self) -> int:
        """How many agents the furthest-travelled envelope went through."""
        return max((x.envelope.hops for x in self.letters), default=0)

    def hear(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take in what the CLI said, and return it with the end of the turn completed by what the kernel knows."""
        if not self.sent:
            return events  # the CLI speaks of something else
        for event in events:
            self.reply.hear(event)
            if isinstance(event, Usage):
                self.usage = event
            elif isinstance(event, TurnEnded):
                self.heard = True
        self.begun.set()
        return [self._finish(e) if isinstance(e, TurnEnded) else e for e in events] if self.heard else events

    def fail(self, outcome: Outcome, reason: str) -> TurnEnded:
        """End the turn by the kernel's own word, and return how; one that was never sent cost nothing."""
        return self._finish(TurnEnded(outcome, reason=reason, cost_usd=None if self.sent else 0.0))

    def _finish(self, event: TurnEnded) -> TurnEnded:
        self.ended = self.ended or msgspec.structs.replace(
            event, turn=self.id, reply=event.reply or str(self.reply), usage=event.usage or self.usage,
            seconds=event.seconds or trio.current_time() - self.started, reason=self.why or event.reason,
        )  # fmt: skip
        self.over.set()
        return self.ended


def prompt_of(letters: Sequence[Letter], waiting: int = 0) -> str:
    """Return the batch as one user turn; a person's lone `/command` goes to the CLI as it was typed.

    Of what did not fit and is `waiting` it says how many.
    """
    only = letters[0].envelope
    if len(letters) == 1 and only.sender.startswith("human:") and only.body.startswith("/"):
        return only.body
    more = [f"> {waiting} more {'messages wait' if waiting > 1 else 'message waits'} for your next turn"]
    return "\n\n".join([*(x.envelope.rendered() for x in letters), *(more if waiting else ())])
