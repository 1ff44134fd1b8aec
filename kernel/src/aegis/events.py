"""What happened: frozen values in the vocabulary of the Agent Client Protocol.

An event is said *about* an agent; the agent's id travels beside it (`bus.Batch`). On the wire and in transcripts
an event is a JSON object whose `t` names its type; absent fields have their defaults, unknown types are kept.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Outcome = Literal["completed", "cancelled", "refused", "truncated", "failed", "interrupted"]
ToolKind = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other"]


class Event(msgspec.Struct, frozen=True, tag_field="t", tag=True, omit_defaults=True):
    """Something that happened; subclasses say what."""


class SessionStarted(Event, frozen=True):
    """The CLI named its session, which is what a resume needs; it may say so again at every turn."""

    session_id: str
    model: str = ""
    version: str = ""
    permission_mode: str = ""
    commands: tuple[str, ...] = ()


class TurnStarted(Event, frozen=True):
    """The agent took these envelopes as one turn."""

    turn: str
    envelopes: tuple[str, ...] = ()
    trace: str = ""


class Text(Event, frozen=True):
    """The agent said something; `parent` is set when a sub-agent of the CLI said it."""

    text: str
    message_id: str = ""
    parent: str = ""


class Thought(Event, frozen=True):
    """The agent thought something."""

    text: str
    message_id: str = ""
    parent: str = ""


class ToolCall(Event, frozen=True):
    """The agent began to use a tool; `locations` are `path` or `path:line`."""

    id: str
    name: str
    title: str = ""
    kind: ToolKind = "other"
    input: Any = None
    locations: tuple[str, ...] = ()
    parent: str = ""


class ToolResult(Event, frozen=True):
    """The tool ended; `diff` is (path, old text, new text) for an edit."""

    id: str
    text: str = ""
    is_error: bool = False
    diff: tuple[str, str, str] | None = None
    parent: str = ""


class PlanEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a plan."""

    content: str
    status: Literal["pending", "in_progress", "completed"] = "pending"
    priority: Literal["high", "medium", "low"] = "medium"


class Plan(Event, frozen=True):
    """The agent's whole current plan."""

    entries: tuple[PlanEntry, ...] = ()


class Usage(Event, frozen=True):
    """Tokens of the turn so far; provisional until it rides in a `TurnEnded`. Cached input is not part of `input`."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    context_used: int = 0
    context_size: int = 0
    cache_write_1h: int = 0  # the part of `cache_write` that is kept for an hour, which costs more
    unknown: tuple[str, ...] = ()  # of these the CLI does not tell all, or does not tell them apart


class Notice(Event, frozen=True):
    """Something a person should know, said by the CLI, a plugin or the kernel."""

    text: str
    level: Literal["info", "warning", "error"] = "info"
    source: str = ""


class Background(Event, frozen=True):
    """What the CLI works at beside its turns, all of it, in words; its end wakes the agent by itself."""

    tasks: tuple[str, ...] = ()


class PermissionAsked(Event, frozen=True):
    """The agent waits for permission to use a tool."""

    id: str
    tool: str
    kind: ToolKind = "other"
    title: str = ""
    input: Any = None


class PermissionAnswered(Event, frozen=True):
    """The request ended, in exactly one of these ways."""

    id: str
    outcome: Literal["allowed", "denied", "expired", "cancelled"]
    reason: str = ""


class TurnEnded(Event, frozen=True):
    """The turn is over; `reply` is the final assistant message, whole. Costs are this turn's, in US dollars."""

    outcome: Outcome
    turn: str = ""
    reply: str = ""
    reason: str = ""
    usage: Usage | None = None
    cost_usd: float | None = None
    seconds: float = 0.0
    models: dict[str, Any] = {}
    denials: tuple[str, ...] = ()


class Delivered(Event, frozen=True):
    """An envelope was accepted for the agent; position 0 means that it is taken at once."""

    envelope: dict[str, Any]
    position: int = 0


class AgentChanged(Event, frozen=True):
    """The agent's public view is now `agent` (`Agent.snapshot`)."""

    agent: dict[str, Any]


class VerbsChanged(Event, frozen=True):
    """Verbs came or went."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class PluginsChanged(Event, frozen=True):
    """Plugins came or went while the kernel runs."""

    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class ConfigChanged(Event, frozen=True):
    """Other settings are in force (`agents`, `queues`, `plugins.canvas`, …), or the files are wrong (`error`)."""

    sections: tuple[str, ...] = ()
    who: str = ""
    error: str = ""


class Fault(Event, frozen=True):
    """A plugin's or an agent's task crashed; `final` when it will not be started again."""

    source: str
    error: str
    final: bool = False


class Gap(Event, frozen=True):
    """So many events (0: nobody knows) are missing here: the watcher was too slow, or they are not kept any more."""

    missed: int


class Unknown(Event, frozen=True):
    """Something the CLI said that the driver has no name for; kept as it was."""

    raw: Any = None


KINDS: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__subclasses__()}
encode = msgspec.json.Encoder().encode  # returns the event as one JSON object


def decode(data: Any) -> Event:
    """Return the event a JSON value stands for; an unknown or malformed one becomes `Unknown`."""
    kind = KINDS.get(data.get("t", "")) if isinstance(data, dict) else None
    try:
        return msgspec.convert(data, kind, strict=False) if kind else Unknown(data)
    except msgspec.ValidationError:
        return Unknown(data)
