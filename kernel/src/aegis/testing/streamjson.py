"""Claude Code's side of stream-json, played from a script."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from aegis.testing.agent import ScriptedAgent
from aegis.testing.bill import Bill, usage
from aegis.testing.script import Rule

_NAMES = {"edit": "Write", "shell": "Bash"}
_REJECTED = "The user doesn't want to proceed with this tool use. The tool use was rejected."
_QUIET = {"initialize", "interrupt", "mcp_status", "get_settings", "apply_flag_settings", "set_model",
          "set_permission_mode", "set_max_thinking_tokens"}  # fmt: skip


class StreamJson(ScriptedAgent):
    """One conversation of the fake CLI."""

    leaves_mid_turn = False

    def __init__(self, rules: Sequence[Rule], flags: argparse.Namespace, version: str) -> None:
        super().__init__(rules)
        self._flags, self._version = flags, version
        self._model, self._mode = flags.model or "claude-fake", flags.permission_mode
        self.handle, self.primer = os.environ.get("AEGIS_HANDLE", ""), flags.append_system_prompt
        self.failures = 0  # the exit code once a model error was seen
        self._folder = Path(os.environ["HOME"]) / ".fakecli"
        self.session = flags.resume or flags.session_id or str(uuid4())
        self._unknown = bool(flags.resume) and not self._file.exists()
        if flags.session_id and self._file.exists():
            sys.exit(f"Error: Session ID {flags.session_id} is already in use.")
        if flags.resume and not self._unknown:
            kept = json.loads(self._file.read_text())
            self.memory, self.primer = kept["memory"], kept["primer"]  # a new system prompt is ignored at a resume
        if flags.fork_session:
            self.session = str(uuid4())
        self._bill = Bill()
        self._uuids: deque[str] = deque()
        self._read: list[str] = []  # the uuids of what this turn answers
        self._asked: dict[str, dict[str, Any] | None] = {}
        self._lost: dict[str, str] = {}
        self._denials: list[dict[str, Any]] = []
        self._reply, self._message, self._using = "", "", False

    @property
    def _file(self) -> Path:
        return self._folder / f"{self.session}.json"

    def meet(self, told: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        """Connect to the MCP servers; whom it cannot reach it says in `system/init`."""
        self._lost = self.connect(told)

    # ------------------------------------------------------------------------------------------------- hearing

    def hear(self, line: bytes) -> None:
        """Take in a message; a line that is no JSON is the end."""
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except ValueError:
            print(f"Error parsing streaming input line: {line[:80]!r}", file=sys.stderr)
            os._exit(1)
        match message:
            case {"type": "user", "message": {"content": content}}:
                self._told(content, message.get("uuid") or "")
            case {"type": "control_request", "request_id": str(number), "request": {"subtype": str(subtype)}}:
                self._requested(number, subtype, message["request"])
            case {"type": "control_response", "response": {"request_id": str(number)}} if number in self._asked:
                self._asked[number] = message["response"]

    def _told(self, content: Any, uuid: str) -> None:
        if self._unknown:
            wrong = f"No conversation found with session ID: {self.session}"
            self._line("result", subtype="error_during_execution", is_error=True, errors=[wrong])
            os._exit(1)
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        words = "\n".join(str(b.get("text", "")) for b in blocks if isinstance(b, dict))
        self._uuids.append(uuid)
        self._lifecycle(uuid, "queued")
        self.prompt(words)

    def _requested(self, number: str, subtype: str, request: Mapping[str, Any]) -> None:
        if subtype == "initialize" and self._unknown:
            print(f"No conversation found with session ID: {self.session}", file=sys.stderr)
            os._exit(1)
        if subtype not in _QUIET:
            why = f"Unsupported control request subtype: {subtype}"
            return self._answer(number, subtype="error", error=why, error_code="unsupported_request")
        response: dict[str, Any] = {}
        match subtype:
            case "initialize":
                response = {"pid": os.getpid(), "claude_code_version": self._version, "commands": [], "models": []}
            case "get_settings":
                response = {"effective": {}, "sources": []}
            case "mcp_status":
                response = {"mcpServers": self._mcp()}
            case "set_model":
                self._model = str(request.get("model") or self._model)
            case "set_permission_mode":
                self._mode = str(request.get("mode") or self._mode)
            case "interrupt":
                response = self._interrupt(cancel=request.get("cancel_queued") is True)
        self._answer(number, subtype="success", response=response)

    def _interrupt(self, *, cancel: bool) -> dict[str, Any]:
        gone: list[str] = []
        while cancel and self._uuids:
            gone.append(self._uuids.popleft())
            self.prompts.popleft()
            self._lifecycle(gone[-1], "cancelled")
        self.interrupted = self.busy
        for number in [n for n, answer in self._asked.items() if answer is None]:
            self._line("control_cancel_request", request_id=number, bare=True)
        return {"still_queued": list(self._uuids)} | ({"cancelled": gone} if cancel else {})

    # ------------------------------------------------------------------------------------------------- speaking

    def _line(self, kind: str, *, bare: bool = False, **fields: Any) -> None:
        known = {} if bare else {"session_id": self.session, "uuid": str(uuid4())}
        self.stdio.write(json.dumps({"type": kind} | fields | known, separators=(",", ":")).encode() + b"\n")

    def _answer(self, number: str, **response: Any) -> None:
        self._line("control_response", response={"request_id": number, **response}, bare=True)

    def _lifecycle(self, uuid: str, state: str) -> None:
        if uuid:
            self._line("command_lifecycle", command_uuid=uuid, state=state)

    def _mcp(self) -> list[dict[str, str]]:
        return [{"name": n, "status": "failed" if n in self._lost else "connected"} for n in self.servers]

    def begin(self) -> None:
        """Announce the turn, and keep the conversation so that it can be resumed from now on."""
        self._keep()
        self._read, self._denials, self._reply, self._message = [], [], "", f"msg_{uuid4().hex[:12]}"
        self.join()
        tools = ["Bash", "Edit", "Read", "Write"]
        self._line(
            "system", subtype="init", cwd=str(Path.cwd()), tools=tools, mcp_servers=self._mcp(), model=self._model,
            permissionMode=self._mode, slash_commands=[], claude_code_version=self._version,
        )  # fmt: skip

    def join(self) -> None:
        """Take the next message into the turn."""
        uuid = self._uuids.popleft()
        self._read.append(uuid)
        self._lifecycle(uuid, "started")
        if self._flags.replay_user_messages:
            self._line("user", message={"role": "user", "content": self._message}, isReplay=True)

    def _keep(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._file.write_text(json.dumps({"memory": self.memory, "primer": self.primer}))

    def _block(self, block: dict[str, Any], **more: Any) -> None:
        message = {
            "id": self._message, "type": "message", "role": "assistant", "model": self._model, "content": [block],
            "stop_reason": None, "usage": usage({"input": 1, "output": 1}),
        }  # fmt: skip
        self._line("assistant", **({"message": message, "parent_tool_use_id": None} | more))

    def say(self, text: str) -> None:
        """Say something."""
        self._reply = text if self._using else self._reply + text
        self._using = False
        self._block({"type": "text", "text": text})

    def think(self, text: str) -> None:
        """Think something."""
        self._block({"type": "thinking", "thinking": text, "signature": ""})

    def call(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> None:
        """Announce that a tool is used."""
        self._block(
            {"type": "tool_use", "id": number, "name": self._name(tool, server), "input": self._input(tool, given)}
        )
        self._using = True

    def result(self, number: str, text: str, *, failed: bool = False) -> None:
        """Say what the tool answered; the model's next words are another message."""
        block = {"type": "tool_result", "tool_use_id": number, "content": text, "is_error": failed}
        self._line("user", message={"role": "user", "content": [block]}, parent_tool_use_id=None, tool_use_result=text)
        self._message = f"msg_{uuid4().hex[:12]}"

    @staticmethod
    def _name(tool: str, server: str) -> str:
        return f"mcp__{server}__{tool}" if server else _NAMES.get(tool, tool)

    @staticmethod
    def _input(tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return (
            {"file_path": str(Path(given["path"]).absolute()), "content": given["text"]}
            if tool == "edit"
            else dict(given)
        )

    # ---------------------------------------------------------------------------------------------- permissions

    def refusal(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> str:
        """Ask over the control channel when the mode and the lists of tools leave it open."""
        name, shown = self._name(tool, server), self._input(tool, given)
        if name in self._flags.disallowedTools:
            return f"No such tool available: {name}"
        if self._allowed(name):
            return ""
        if self._flags.permission_prompt_tool != "stdio" or self._mode == "dontAsk":
            why = f"Claude requested permissions to use {name}, but you haven't granted it yet."
            self._line("system", subtype="permission_denied", tool_name=name, message=why)
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
        self._line("control_request", request_id=asked, request=request | {"permission_suggestions": []}, bare=True)
        try:
            self.pause(lambda: self._asked[asked] is not None)
        except Exception:
            self._denied(number, name, shown, _REJECTED)
            self.result(number, _REJECTED, failed=True)
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
        if self._mode == "bypassPermissions" or (self._mode == "acceptEdits" and name == "Write"):
            return True
        lists = [word for entry in self._flags.allowedTools for word in entry.split(",")]
        return any(name == entry or name.startswith(f"{entry}__") for entry in lists)

    def _denied(self, number: str, name: str, shown: dict[str, Any], why: str) -> str:
        self._denials.append({"tool_name": name, "tool_use_id": number, "tool_input": shown})
        return why

    # -------------------------------------------------------------------------------------------------- the end

    def end(self, outcome: str, reason: str) -> None:
        """Say how the turn ended: one `result` for all that was read in it."""
        self._keep()
        stop, subtype, terminal = "end_turn", "success", "completed"
        words: dict[str, Any] = {"result": self._reply}
        match outcome:
            case "cancelled":
                subtype, terminal = "error_during_execution", "aborted_tools" if self._using else "aborted_streaming"
                words = {"errors": ["[ede_diagnostic] interrupted"]}
                said = [{"type": "text", "text": "[Request interrupted by user]"}]
                self._line("user", message={"role": "user", "content": said}, parent_tool_use_id=None)
            case "failed":
                self.failures, terminal, words = 1, "api_error", {"result": f"API Error: {reason}"}
                error = {
                    "model": "<synthetic>",
                    "content": [{"type": "text", "text": words["result"]}],
                    "usage": usage({}),
                }
                self._block({}, message={"id": "synthetic", "role": "assistant", **error}, error="server_error")
            case "refused" | "truncated":
                stop = "refusal" if outcome == "refused" else "max_tokens"
                words = {"result": reason or self._reply}
        self._line(
            "result", subtype=subtype, is_error=outcome in ("cancelled", "failed"), num_turns=1, duration_ms=1,
            stop_reason=stop, terminal_reason=terminal, permission_denials=self._denials,
            user_message_uuids=list(filter(None, self._read)), **words, **self._bill.turn(self._model, self.spent),
        )  # fmt: skip
        for uuid in self._read:
            self._lifecycle(uuid, "completed" if outcome in ("completed", "refused", "truncated") else "cancelled")
        self._using = False
