"""Claude Code's side of stream-json, played from a script."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from aegis.testing.agent import ScriptedAgent
from aegis.testing.script import Rule
from aegis_claude.testing.bill import Bill, usage
from aegis_claude.testing.control import Control

_NAMES = {"edit": "Write", "shell": "Bash"}


class StreamJson(ScriptedAgent):
    """One conversation of the fake CLI."""

    exits_mid_turn = False

    def __init__(self, rules: Sequence[Rule], flags: argparse.Namespace, version: str) -> None:
        super().__init__(rules)
        self._flags = flags
        self.model, self.version = flags.model or "claude-fake", version
        self.control = Control(self, flags)
        self.handle, self.primer = os.environ.get("AEGIS_HANDLE", ""), flags.append_system_prompt
        self.failures = 0  # the exit code once a model error was seen
        self._folder = Path(os.environ["HOME"]) / ".fakecli"
        self.session = flags.resume or flags.session_id or str(uuid4())
        self.unknown = bool(flags.resume) and not self._file.exists()
        if flags.session_id and self._file.exists():
            sys.exit(f"Error: Session ID {flags.session_id} is already in use.")
        if flags.resume and not self.unknown:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self.memory, self.primer = kept["memory"], kept["primer"]  # a new system prompt is ignored at a resume
        if flags.fork_session:
            self.session = str(uuid4())
        self._bill = Bill(self.memory.get("bill", {}))
        self._uuids: deque[str] = deque()
        self._read: list[str] = []  # the uuids of what this turn answers
        self._lost: dict[str, str] = {}
        self._reply, self._message, self._using = "", "", False

    @property
    def _file(self) -> Path:
        return self._folder / f"{self.session}.json"

    def meet(self, told: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        """Connect to the MCP servers; those it cannot reach it names in `system/init`."""
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
                self.control.requested(number, subtype, message["request"])
            case {"type": "control_response", "response": {"request_id": str(number)}}:
                self.control.answered(number, message["response"])

    def _told(self, content: Any, uuid: str) -> None:
        if self.unknown:
            self.nothing_to_resume()
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        words = "\n".join(str(b.get("text", "")) for b in blocks if isinstance(b, dict))
        self._uuids.append(uuid)
        self._lifecycle(uuid, "queued")
        self.prompt(words)

    def nothing_to_resume(self) -> NoReturn:
        """Say that there is no such conversation, and exit."""
        wrong = f"No conversation found with session ID: {self.session}"
        self.line("result", subtype="error_during_execution", is_error=True, errors=[wrong])
        os._exit(1)

    def interrupt(self, *, cancel: bool) -> dict[str, Any]:
        """End the turn; what waits stays, unless it is to be taken back."""
        gone: list[str] = []
        while cancel and self._uuids:
            gone.append(self._uuids.popleft())
            self.prompts.popleft()
            self._lifecycle(gone[-1], "cancelled")
        self.interrupted = self.busy
        self.control.take_back()
        return {"still_queued": list(self._uuids)} | ({"cancelled": gone} if cancel else {})

    # ------------------------------------------------------------------------------------------------- speaking

    def line(self, kind: str, *, bare: bool = False, **fields: Any) -> None:
        """Write a message; `bare` ones are not of the session."""
        known = {} if bare else {"session_id": self.session, "uuid": str(uuid4())}
        self.stdio.write(json.dumps({"type": kind} | fields | known, separators=(",", ":")).encode() + b"\n")

    def _lifecycle(self, uuid: str, state: str) -> None:
        if uuid:
            self.line("command_lifecycle", command_uuid=uuid, state=state)

    def mcp(self) -> list[dict[str, str]]:
        """Return its MCP servers and whether they could be reached."""
        return [{"name": n, "status": "failed" if n in self._lost else "connected"} for n in self.servers]

    def begin(self) -> None:
        """Announce the turn, and keep the conversation so that it can be resumed from now on."""
        self._keep()
        self._read, self.control.denials, self._reply, self._message = [], [], "", f"msg_{uuid4().hex[:12]}"
        self.join()
        tools = ["Bash", "Edit", "Read", "Write"]
        self.line(
            "system", subtype="init", cwd=str(Path.cwd()), tools=tools, mcp_servers=self.mcp(), model=self.model,
            permissionMode=self.control.mode, slash_commands=[], claude_code_version=self.version,
        )  # fmt: skip

    def join(self) -> None:
        """Take the next message into the turn."""
        uuid = self._uuids.popleft()
        self._read.append(uuid)
        self._lifecycle(uuid, "started")
        if self._flags.replay_user_messages:
            self.line("user", message={"role": "user", "content": self._message}, isReplay=True)

    def _keep(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._file.write_text(json.dumps({"memory": self.memory, "primer": self.primer}), encoding="utf-8")

    def _block(self, block: dict[str, Any], **more: Any) -> None:
        message = {
            "id": self._message, "type": "message", "role": "assistant", "model": self.model, "content": [block],
            "stop_reason": None, "usage": usage({"input": 1, "output": 1}),
        }  # fmt: skip
        self.line("assistant", **({"message": message, "parent_tool_use_id": None} | more))

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
        self.line("user", message={"role": "user", "content": [block]}, parent_tool_use_id=None, tool_use_result=text)
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

    def refusal(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> str:
        """Ask over the control channel when the mode and the lists of tools do not decide."""
        return self.control.refusal(number, self._name(tool, server), self._input(tool, given))

    # -------------------------------------------------------------------------------------------------- the end

    def end(self, outcome: str, reason: str) -> None:
        """Say how the turn ended: one `result` for all that was read in it."""
        figures = self._bill.turn(self.model, self.spent)
        self.memory["bill"] = self._bill.totals
        self._keep()
        stop, subtype, terminal = "end_turn", "success", "completed"
        words: dict[str, Any] = {"result": self._reply}
        match outcome:
            case "cancelled":
                subtype, terminal = "error_during_execution", "aborted_tools" if self._using else "aborted_streaming"
                words = {"errors": ["[ede_diagnostic] interrupted"]}
                said = [{"type": "text", "text": "[Request interrupted by user]"}]
                self.line("user", message={"role": "user", "content": said}, parent_tool_use_id=None)
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
        self.line(
            "result", subtype=subtype, is_error=outcome in ("cancelled", "failed"), num_turns=1, duration_ms=1,
            stop_reason=stop, terminal_reason=terminal, permission_denials=self.control.denials,
            user_message_uuids=list(filter(None, self._read)), **words, **figures,
        )  # fmt: skip
        for uuid in self._read:
            self._lifecycle(uuid, "completed" if outcome in ("completed", "refused", "truncated") else "cancelled")
        self._using = False
