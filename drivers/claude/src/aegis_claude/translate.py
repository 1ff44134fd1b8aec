"""What Claude Code says, as events. Pure but for what the translator remembers; nothing that is said makes it fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis.events import (
    Background,
    Event,
    Notice,
    Outcome,
    SessionStarted,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    TurnEnded,
    Unknown,
)
from aegis_claude import plan, tools
from aegis_claude.costs import Meter
from aegis_jsonrpc.values import amount, count, items, mapping, text

SOURCE = "claude-code"
_LEVELS = {"warning": "warning", "warn": "warning", "error": "error"}

# Said often and about nothing that the other lines do not say.
_QUIET = frozenset({
    "control_request", "control_response", "control_cancel_request", "keep_alive", "stream_event", "tool_progress",
    "tool_use_summary", "prompt_suggestion", "conversation_reset",
})  # fmt: skip
_QUIET_SYSTEM = frozenset({
    "thinking_tokens", "task_started", "task_progress", "task_updated", "hook_started", "hook_progress",
    "hook_response", "session_state_changed", "files_persisted", "commands_changed",
    "model_refusal_no_fallback", "session_title_changed", "session_metadata", "per_turn_effort_changed",
    "slack_tag_title", "vcs_state_changed",
})  # fmt: skip


class Translator:
    """Turns messages into events and knows whether the turn that was begun is over: `TurnEnded` comes once for each."""

    def __init__(self, *, resumed: bool = False) -> None:
        self._prompt = ""  # the uuid of the prompt whose turn is open
        self._queued = self._interrupted = self._untold = False
        self._calls: dict[str, tuple[str, Any]] = {}
        self._plan, self._meter = plan.PlanSoFar(), Meter(resumed=resumed)
        self._last: dict[str, Any] = {}
        self._reply: list[str] = []
        self._speaking = self._error = ""
        self._servers: dict[str, str] = {}
        self._kinds: dict[str, Callable[[dict[str, Any]], list[Event]]] = {
            "assistant": self._assistant,
            "user": self._user,
            "system": self._system,
            "result": self._result,
            "command_lifecycle": self._lifecycle,
            "rate_limit_event": self._rate_limit,
        }

    @property
    def busy(self) -> bool:
        """True while a turn is open."""
        return bool(self._prompt)

    def begin(self, prompt: str, *, untold: bool = False) -> None:
        """Open a turn for the prompt with this uuid; `untold` is one whose cost the CLI does not tell."""
        self._prompt, self._queued, self._interrupted, self._untold = prompt, False, False, untold
        self._reply, self._speaking, self._error = [], "", ""

    def interrupt(self) -> None:
        """Remember that the open turn was asked to stop."""
        self._interrupted = True

    def events(self, message: Any) -> list[Event]:
        """Return what the message says; a value that is no message, or of an unknown kind, is kept as `Unknown`."""
        if type(message) is not dict:
            return [Unknown(message)]
        kind = message.get("type")
        if type(kind) is not str:
            return [Unknown(message)]
        if handler := self._kinds.get(kind):
            return handler(message)
        return [] if kind in _QUIET else [Unknown(message)]

    # ------------------------------------------------------------------------------------------ what the agent says

    def _assistant(self, message: dict[str, Any]) -> list[Event]:
        said = mapping(message.get("message"))
        parent = text(message.get("parent_tool_use_id"))
        if (error := message.get("error")) and not parent:
            self._error = text(error)  # the CLI speaks in the model's place; its words are the reason of the turn's end
            return []
        if not parent:
            self._last = said
        speaker = text(said.get("id"))
        content = said.get("content")
        blocks = [{"type": "text", "text": content}] if type(content) is str else items(content)
        events: list[Event] = []
        for block in blocks:
            events += self._block(mapping(block), speaker, parent)
        return events or ([] if blocks else [Unknown(message)])

    def _block(self, block: dict[str, Any], speaker: str, parent: str) -> list[Event]:
        kind = block.get("type")
        if kind == "text":
            words = text(block.get("text"))
            if not parent:
                if speaker != self._speaking:
                    self._reply, self._speaking = [], speaker
                self._reply.append(words)
            return [Text(words, speaker, parent)]
        if kind == "tool_use" or kind == "server_tool_use" or kind == "mcp_tool_use":
            return self._call(block, parent)
        if kind == "thinking":  # the CLI may keep the words to itself
            return [Thought(words, speaker, parent)] if (words := text(block.get("thinking"))) else []
        if kind == "redacted_thinking":
            return []
        if type(kind) is str and kind.endswith("tool_result"):
            return self._tool_result(block, parent, None)
        return [Unknown(block)]

    def _call(self, block: dict[str, Any], parent: str) -> list[Event]:
        call, name, given = text(block.get("id")), text(block.get("name")), block.get("input")
        self._calls[call] = name, given
        if name in plan.TOOLS and not parent:  # what comes of it is shown as the plan, once it worked
            return []
        kind, title, places = tools.kind(name), tools.title(name, given), tools.locations(given)
        return [ToolCall(call, name, title, kind, given, places, parent)]

    def _user(self, message: dict[str, Any]) -> list[Event]:
        if message.get("isReplay") is True:
            return []
        parent = text(message.get("parent_tool_use_id"))
        blocks = items(mapping(message.get("message")).get("content"))
        results = [block for b in blocks if (block := mapping(b)).get("type") == "tool_result"]
        outcome = message.get("tool_use_result") if len(results) == 1 else None
        events: list[Event] = []
        for block in results:
            events += self._tool_result(block, parent, outcome)
        return events

    def _tool_result(self, block: dict[str, Any], parent: str, outcome: Any) -> list[Event]:
        call, failed = text(block.get("tool_use_id")), block.get("is_error") is True
        words = _words(block.get("content"))
        name, given = self._calls.pop(call, ("", None))
        if name in plan.TOOLS and not parent:
            changed = None if failed else self._plan.after(name, given, words)
            return [changed] if changed else []
        return [ToolResult(call, words, failed, None if failed else tools.diff(name, given, outcome), parent)]

    # ----------------------------------------------------------------------------------------- what the CLI says

    def _system(self, message: dict[str, Any]) -> list[Event]:
        subtype = message.get("subtype")
        if subtype == "init":
            return self._init(message)
        if subtype == "api_retry":
            return [_notice(_retry(message), "warning")]
        if subtype == "informational":
            return [_notice(text(message.get("content")), _LEVELS.get(text(message.get("level")), "info"))]
        if subtype == "permission_denied":
            tool, why = text(message.get("tool_name")), text(message.get("message"))
            return [_notice(f"{tool or 'a tool'} was denied" + (f": {why}" if why else ""), "warning")]
        if subtype == "compact_boundary":
            said = mapping(message.get("compact_metadata"))
            before, trigger = count(said.get("pre_tokens")), text(said.get("trigger"))
            return [_notice(f"the conversation was compacted ({trigger or 'auto'}, {before:,} tokens before)")]
        if subtype == "status":
            failed = text(message.get("compact_error"))
            return [_notice(failed, "warning")] if failed else []
        if subtype == "background_tasks_changed":
            return [Background(tuple(text(mapping(t).get("description")) or "?" for t in items(message.get("tasks"))))]
        if subtype == "task_notification":
            if text(message.get("tool_use_id")) in self._calls:
                return []  # a sub-agent in the foreground: its result follows
            return [_notice(f"background task {text(message.get('status'))}: {text(message.get('summary'))}")]
        return [] if type(subtype) is str and subtype in _QUIET_SYSTEM else [Unknown(message)]

    def _init(self, message: dict[str, Any]) -> list[Event]:
        commands = [text(mapping(c).get("name")) or text(c) for c in items(message.get("slash_commands"))]
        started = SessionStarted(
            text(message.get("session_id")),
            text(message.get("model")),
            text(message.get("claude_code_version")),
            text(message.get("permissionMode")),
            tuple(filter(None, commands)),
        )
        servers = {text(s.get("name")): text(s.get("status")) for s in map(mapping, items(message.get("mcp_servers")))}
        lost = [n for n, status in servers.items() if status == "failed" and self._servers.get(n) != "failed"]
        self._servers = servers
        return [started, *(_notice(f"the MCP server {name!r} could not be reached", "warning") for name in lost)]

    def _rate_limit(self, message: dict[str, Any]) -> list[Event]:
        said = mapping(message.get("rate_limit_info"))
        status, window = text(said.get("status")), text(said.get("rateLimitType"))
        if status in ("", "allowed"):
            return []
        return [_notice(f"usage limit {window.replace('_', ' ')}: {status.replace('_', ' ')}", "warning")]

    # -------------------------------------------------------------------------------------- where the turn ends

    def _lifecycle(self, message: dict[str, Any]) -> list[Event]:
        if not self._prompt or message.get("command_uuid") != self._prompt:
            return []
        state = message.get("state")
        self._queued = state == "queued"
        if state == "completed":  # after the turn's result; without one there will be none
            return [self._end("completed")]
        if state in ("cancelled", "discarded"):
            return [self._end("cancelled", "interrupted before it began", cost_usd=0.0)]
        if state == "refused":
            return [self._end("refused", "Claude Code did not take the message", cost_usd=0.0)]
        return []

    def _result(self, message: dict[str, Any]) -> list[Event]:
        if not self._prompt or self._of_another(message):
            self._meter.hear(message)
            return []  # the CLI ended a turn that nobody began, for example because a background task was done
        outcome, reason = self._outcome(message)
        cut = self._untold or message.get("terminal_reason") == "aborted_streaming"
        usage, cost, models = self._meter.turn(message, self._last, cut=cut)
        denials = [text(mapping(d).get("tool_name")) for d in items(message.get("permission_denials"))]
        return [
            self._end(
                outcome,
                reason,
                usage=usage,
                cost_usd=cost,
                seconds=(amount(message.get("duration_ms")) or 0) / 1000,
                models=models,
                denials=tuple(filter(None, denials)),
            )
        ]

    def _of_another(self, result: dict[str, Any]) -> bool:
        if answered := items(result.get("user_message_uuids")):
            return self._prompt not in answered
        origin = text(mapping(result.get("origin")).get("kind"))
        return self._queued or origin not in ("", "human")

    def _outcome(self, result: dict[str, Any]) -> tuple[Outcome, str]:
        stop, end = text(result.get("stop_reason")), text(result.get("terminal_reason"))
        subtype = text(result.get("subtype"))
        errors = "; ".join(filter(None, map(text, items(result.get("errors")))))
        words = text(result.get("result")) or errors
        if end.startswith("aborted") or (self._interrupted and subtype == "error_during_execution"):
            return "cancelled", "interrupted"
        if stop == "refusal":
            return "refused", words or "the model refused"
        if self._error == "max_output_tokens" or subtype == "error_max_turns" or stop == "max_tokens":
            return "truncated", self._error or (subtype if subtype != "success" else stop)
        if result.get("is_error") is True or subtype.startswith("error"):  # `success` is said of failed turns, too
            return "failed", words or end or subtype or "the CLI gave no reason"
        return "completed", ""

    def _end(self, outcome: Outcome, reason: str = "", **figures: Any) -> TurnEnded:
        self._prompt, self._queued = "", False
        return TurnEnded(outcome, reply="".join(self._reply), reason=reason, **figures)


def _notice(words: str, level: Any = "info") -> Notice:
    return Notice(words, level, SOURCE)


def _retry(message: dict[str, Any]) -> str:
    status, error = count(message.get("error_status")), text(message.get("error"))
    attempt, most = count(message.get("attempt")), count(message.get("max_retries"))
    wait = (amount(message.get("retry_delay_ms")) or 0) / 1000
    answer = " ".join(filter(None, (str(status or ""), error.replace("_", " ")))) or "an error"
    return f"the model answered {answer}; retry {attempt} of {most} in {wait:.1f} s"


def _words(content: Any) -> str:
    if type(content) is str:
        return content
    return "\n".join(_part(mapping(part)) for part in items(content))


def _part(part: dict[str, Any]) -> str:
    return text(part.get("text")) if part.get("type") == "text" else f"[{text(part.get('type')) or 'unknown'}]"
