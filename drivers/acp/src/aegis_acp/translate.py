"""What an ACP agent says, as events. Pure but for what the translator remembers; nothing that is said makes it fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from aegis.events import Event, Outcome, Plan, PlanEntry, SessionStarted, Text, Thought, TurnEnded, Unknown
from aegis_acp import v1
from aegis_acp.calls import Call, words
from aegis_acp.costs import Meter
from aegis_acp.figures import Figures
from aegis_jsonrpc.values import mapping, text

HISTORY = frozenset({
    "user_message_chunk", "agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "plan",
    "plan_update", "plan_removed",
})  # fmt: skip
_WHY = ("errorName", "message", "details", "reason", "error")
_OUTCOMES: dict[str, tuple[Outcome, str]] = {
    "end_turn": ("completed", ""),
    "cancelled": ("cancelled", "interrupted"),
    "refusal": ("refused", "the model refused"),
    "max_tokens": ("truncated", "max_tokens"),
    "max_turn_requests": ("truncated", "max_turn_requests"),
}


class Translator:
    """Turns updates into events; knows the session, the tools in use and the bill."""

    def __init__(self, given: Callable[[v1.ToolCallUpdate], Any] = lambda said: None) -> None:
        """`given` reads what a tool is given in what an agent says of it that has no field for it."""
        self._given = given
        self._started, self.meter = SessionStarted(""), Meter()
        self._calls: dict[str, Call] = {}
        self._refused: list[Call] = []  # whose end the agent has not told
        self._denied: list[str] = []
        self.spoke = False  # in this turn, in words or by a tool
        self._kinds: dict[str, Callable[[Any], list[Event]]] = {
            "agent_message_chunk": self._text,
            "agent_thought_chunk": self._thought,
            "tool_call": self._tool,
            "tool_call_update": self._tool,
            "plan": self._plan,
            "plan_update": self._plan_update,
            "usage_update": lambda said: [self.meter.update(said)],
            "available_commands_update": self._commands,
            "current_mode_update": self._mode,
        }

    def update(self, raw: Any) -> list[Event]:
        """Return what a `session/update` says; one of no known kind, or malformed, is kept as `Unknown`."""
        said = v1.update(raw) if type(raw) is dict else None
        if said is None:
            return [Unknown(raw)]
        handler = self._kinds.get(raw["sessionUpdate"])
        return handler(said) if handler else []

    def opened(
        self, started: SessionStarted, paid: float | None, figures: Figures | None = None, *, resumed: bool = False
    ) -> list[Event]:
        """Return what there is to say of the session that is open now; so much was `paid` for it before."""
        self.meter.opened(figures or Figures(), paid, resumed=resumed)
        self._started = msgspec.structs.replace(started, commands=self._started.commands)  # these may come first
        return [self._started]

    def begin(self) -> None:
        """Begin a turn."""
        self.meter.begin()
        self._calls.clear()
        self._denied, self.spoke = [], False

    # -------------------------------------------------------------------------------------------------- what is said

    def _text(self, said: v1.AgentMessageChunk) -> list[Event]:
        self.meter.call(said.field_meta)
        event = Text(words(said.content), said.message_id or "")
        self.spoke = self.spoke or bool(event.text)
        return self._said(event)

    def _thought(self, said: v1.AgentThoughtChunk) -> list[Event]:
        return self._said(Thought(words(said.content).removeprefix("****\n"), said.message_id or ""))

    def _said(self, event: Text | Thought) -> list[Event]:
        """Return what is said; an empty chunk only begins a message, or carries something beside it."""
        return [*self._refusals(), event] if event.text else []

    @staticmethod
    def _plan(said: v1.AgentPlanUpdate) -> list[Event]:
        return [_plan(said.entries)]

    @staticmethod
    def _plan_update(said: v1.AgentPlanContentUpdate) -> list[Event]:
        entries = getattr(said.plan, "entries", None)
        return [] if entries is None else [_plan(entries)]

    def _commands(self, said: v1.AvailableCommandsUpdate) -> list[Event]:
        return self._restarted(commands=tuple(command.name for command in said.available_commands))

    def _mode(self, said: v1.CurrentModeUpdate) -> list[Event]:
        return self._restarted(permission_mode=said.current_mode_id)

    def _restarted(self, **news: Any) -> list[Event]:
        before, self._started = self._started, msgspec.structs.replace(self._started, **news)
        return [self._started] if before.session_id and self._started != before else []

    # --------------------------------------------------------------------------------------------------------- tools

    def _tool(self, said: v1.ToolCallUpdate) -> list[Event]:
        call = self._known(said)
        if call.over:
            return []
        events: list[Event] = [] if call.announced or not call.ready else [call.announcement()]
        return [*events, call.result()] if call.ended else events

    def asked(self, said: v1.ToolCallUpdate) -> tuple[Call, list[Event]]:
        """Return the call that permission is asked for, and its announcement if there was none."""
        call = self._known(said, asking=True)
        return call, [] if call.announced else [call.announcement()]

    def _known(self, said: v1.ToolCallUpdate, *, asking: bool = False) -> Call:
        call = self._calls.get(said.tool_call_id)
        if call is None:
            self.spoke, call = True, Call(said.tool_call_id)
            self._calls[said.tool_call_id] = call
        if not call.over:
            call.learn(said, asking=asking)
            if call.input is None:
                call.input = self._given(said)
        return call

    def refuse(self, call: Call, reason: str) -> None:
        """Remember that the call may not run: some agents say no more of it."""
        call.refused = reason
        self._refused.append(call)
        self._denied.append(call.name or call.kind)

    def _refusals(self) -> list[Event]:
        """Return results for what was refused: the agent goes on without it."""
        refused, self._refused = self._refused, []
        return [call.result() for call in refused if not call.over]

    # ----------------------------------------------------------------------------------------------- the turn's end

    def ended(self, answer: Any, *, cut: bool = False, stopped: bool = True) -> list[Event]:
        """Return the end of the turn that the agent answered so.

        One that was `cut` short is never completed; one that nobody `stopped` was not interrupted, but some agents end
        it so when they are refused something.
        """
        said = mapping(answer)
        stop = text(said.get("stopReason"))
        outcome, reason = _OUTCOMES.get(stop, ("completed", stop))
        if not stop:
            outcome, reason = "failed", "the agent ended the turn without saying how"
        if stop == "cancelled" and not stopped and self._denied:
            outcome, reason = "completed", f"the agent ended its turn because {self._denied[-1]} was not allowed"
        if cut and outcome == "completed":
            outcome, reason = _OUTCOMES["cancelled"]
        return self._end(outcome, reason, said)

    def failed(self, reason: str) -> list[Event]:
        """Return the end of the turn that the agent answered with an error."""
        return self._end("failed", reason, {})

    def cancelled(self) -> list[Event]:
        """Return the end of the turn that was interrupted."""
        return self._end("cancelled", "interrupted", {})

    def _end(self, outcome: Outcome, reason: str, answer: dict[str, Any]) -> list[Event]:
        events = self._refusals()
        for call in self._calls.values():
            if not call.over:
                events += [] if call.announced else [call.announcement()]
                call.refused = "" if outcome == "completed" else "the turn ended first"
                events.append(call.result())
        names = [call.name or call.kind for call in self._calls.values()]
        usage, cost, models = self.meter.turn(answer, names, cut=outcome == "cancelled", model=self._started.model)
        denials = tuple(self._denied)
        end = TurnEnded(outcome, reason=reason, usage=usage, cost_usd=cost, models=models, denials=denials)
        return [*events, end]


def reason_of(message: str, data: Any) -> str:
    """Return why the agent could not do what was asked: its own words, and the provider's where it gives them."""
    message, said = _unpacked(message), mapping(data)
    nested = [text(said.get(name)) for name in _WHY] if said else [text(data)]
    more = [words for words in dict.fromkeys(nested) if words and words not in message]
    return ": ".join([*([message] if message else []), *more]) or "the agent gave no reason"


def _unpacked(message: str) -> str:
    """Return the message inside a provider's error, which Gemini CLI hands on as it came."""
    try:
        error = mapping(mapping(json.loads(message)).get("error"))
    except (ValueError, RecursionError):
        return message
    return text(error.get("message")) or message


def _plan(entries: list[v1.PlanEntry]) -> Plan:
    return Plan(tuple(PlanEntry(e.content, e.status, e.priority) for e in entries))
