"""The control channel of the fake Claude Code: what is asked of the CLI, and what it asks permission for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from aegis_claude.testing.agent import StreamJson

_REJECTED = "The user doesn't want to proceed with this tool use. The tool use was rejected."
_KNOWN = frozenset({
    "initialize", "interrupt", "mcp_status", "get_settings", "apply_flag_settings", "set_model", "set_permission_mode",
    "set_max_thinking_tokens",
})  # fmt: skip


class Control:
    """Requests in both directions; `denials` are those of the turn."""

    def __init__(self, cli: StreamJson, flags: argparse.Namespace) -> None:
        self._cli, self._flags, self.mode = cli, flags, flags.permission_mode
        self._asked: dict[str, dict[str, Any] | None] = {}
        self.denials: list[dict[str, Any]] = []

    def requested(self, number: str, subtype: str, request: Mapping[str, Any]) -> None:
        """Do what is asked of the CLI itself, and say so."""
        if subtype == "initialize" and self._cli.unknown:
            self._cli.nothing_to_resume()
        if subtype not in _KNOWN:
            why = f"Unsupported control request subtype: {subtype}"
            return self._answer(number, subtype="error", error=why, error_code="unsupported_request")
        response: dict[str, Any] = {}
        match subtype:
            case "initialize":
                response = {"pid": os.getpid(), "claude_code_version": self._cli.version, "commands": [], "models": []}
            case "get_settings":
                response = {"effective": {}, "sources": []}
            case "mcp_status":
                response = {"mcpServers": self._cli.mcp()}
            case "set_model":
                self._cli.model = str(request.get("model") or self._cli.model)
            case "set_permission_mode":
                self.mode = str(request.get("mode") or self.mode)
            case "interrupt":
                response = self._cli.interrupt(cancel=request.get("cancel_queued") is True)
        self._answer(number, subtype="success", response=response)

    def _answer(self, number: str, **response: Any) -> None:
        self._cli.line("control_response", response={"request_id": number, **response}, bare=True)

    def answered(self, number: str, response: dict[str, Any]) -> None:
        """Take in the answer to a request of ours."""
        if number in self._asked:
            self._asked[number] = response

    def take_back(self) -> None:
        """Say of every open request that it needs no answer any more."""
        for number in [n for n, answer in self._asked.items() if answer is None]:
            self._cli.line("control_cancel_request", request_id=number, bare=True)

    def refusal(self, number: str, name: str, shown: dict[str, Any]) -> str:
        """Return why the tool may not run, once somebody said so; an empty text when it may."""
        if name in self._flags.disallowedTools:
            return f"No such tool available: {name}"
        if self._allowed(name):
            return ""
        if self._flags.permission_prompt_tool != "stdio" or self.mode == "dontAsk":
            why = f"Claude requested permissions to use {name}, but you haven't granted it yet."
            self._cli.line("system", subtype="permission_denied", tool_name=name, message=why)
            return self._denied(number, name, shown, why)
        asked = str(uuid4())
        self._asked[asked] = None
        request = {
            "subtype": "can_use_tool",
            "tool_name": name,
            "display_name": name,
            "input": shown,
            "tool_use_id": number,
        }
        self._cli.line("control_request", request_id=asked, request=request | {"permission_suggestions": []}, bare=True)
        try:
            self._cli.pause(lambda: self._asked[asked] is not None)
        except Exception:
            self._denied(number, name, shown, _REJECTED)
            self._cli.result(number, _REJECTED, failed=True)
            raise
        finally:
            answer = self._asked.pop(asked) or {}
        match answer.get("response"):
            case {"behavior": "allow", "updatedInput": dict()}:
                return ""
            case {"behavior": "deny", "message": str(why)}:
                return self._denied(number, name, shown, why)
        return "Tool permission request failed: the answer is malformed"

    def _allowed(self, name: str) -> bool:
        if self.mode == "bypassPermissions" or (self.mode == "acceptEdits" and name == "Write"):
            return True
        lists = [word for entry in self._flags.allowedTools for word in entry.split(",")]
        return any(name == entry or name.startswith(f"{entry}__") for entry in lists)

    def _denied(self, number: str, name: str, shown: dict[str, Any], why: str) -> str:
        self.denials.append({"tool_name": name, "tool_use_id": number, "tool_input": shown})
        return why
