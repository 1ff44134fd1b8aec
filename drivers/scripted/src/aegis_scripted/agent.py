"""The agent itself, in a process of its own: events on standard output, orders on standard input. Stdlib only.

The first line says who it is, with the secrets of its servers: `{"do": "start", "handle", "primer", "servers",
"folder", "resume", "script"}`. Then `{"do": "turn", "prompt"}`, `{"do": "interrupt"}` and `{"do": "answer", "id",
"refusal"}`. Besides events (`aegis.events`) it says `{"t": "Ask", …}` and `{"t": "AskedNoMore", "id"}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aegis.testing.agent import ScriptedAgent
from aegis.testing.script import Rule

KINDS = {"edit": "edit", "shell": "execute"}


class EventAgent(ScriptedAgent):
    """Speaks canonical events."""

    def __init__(self, start: dict[str, Any], rules: list[Rule]) -> None:
        super().__init__(rules)
        self.handle, self.primer = start["handle"], start["primer"]
        self._answers: dict[str, str] = {}
        self._file = Path(start["folder"]) / "conversation.json"
        self.session = start["resume"] or os.urandom(8).hex()
        if start["resume"]:
            self._resume()
        self._keep()
        self._servers = {s["name"]: (s["url"], s["headers"]) for s in start["servers"]}

    def _resume(self) -> None:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        if kept.get("session") != self.session:
            gone = f"there is no conversation {self.session!r} to go on with in {self._file.parent}"
            self.stdio.write(json.dumps({"gone": gone}).encode() + b"\n")
            sys.exit(0)
        self.memory = kept["memory"]

    def _keep(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"session": self.session, "memory": self.memory}), encoding="utf-8")
        new.replace(self._file)

    def hello(self) -> None:
        """Say which conversation this is, and meet the servers."""
        self._event("SessionStarted", session_id=self.session, model="script")
        for name, why in self.connect(self._servers).items():
            self._event("Notice", text=f"the MCP server {name!r}: {why}", level="warning", source="scripted")

    def hear(self, line: bytes) -> None:
        """Take in an order."""
        order = json.loads(line)
        match order["do"]:
            case "turn":
                self.prompt(order["prompt"])
            case "interrupt":
                self.interrupted = True
            case "answer":
                self._answers[order["id"]] = order["refusal"]

    def _event(self, t: str, **fields: Any) -> None:
        self.stdio.write(json.dumps({"t": t, **fields}, separators=(",", ":")).encode() + b"\n")

    def begin(self) -> None:
        """Nothing: the first words show that the turn has begun."""

    def say(self, text: str) -> None:
        """Say something, as a message of its own."""
        self._event("Text", text=text, message_id=self.next_id())

    def think(self, text: str) -> None:
        """Think something."""
        self._event("Thought", text=text)

    def call(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> None:
        """Announce that a tool is used."""
        title = " ".join([tool, *(str(value) for value in given.values())])[:200]
        places = [given["path"]] if tool == "edit" else []
        kind = KINDS.get(tool, "other")
        self._event("ToolCall", id=number, name=tool, title=title, kind=kind, input=given, locations=places)

    def result(self, number: str, text: str, *, failed: bool = False) -> None:
        """Say what the tool answered."""
        self._event("ToolResult", id=number, text=text, is_error=failed)

    def refusal(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> str:
        """Ask for permission to use a tool of its own; those of its plane are the plane's to refuse."""
        if server:
            return ""
        paths = [given["path"]] if tool == "edit" else []
        self._event("Ask", id=number, tool=tool, kind=KINDS.get(tool, "other"), input=given, paths=paths)
        try:
            self.pause(lambda: number in self._answers)
        finally:
            if number not in self._answers:
                self._event("AskedNoMore", id=number)
        return self._answers.pop(number)

    def end(self, outcome: str, reason: str) -> None:
        """Say that the turn is over, once it is remembered."""
        self._keep()
        spent = dict(self.spent)
        more: dict[str, Any] = {"cost_usd": spent.pop("cost", 0.0)}  # it has no model: what it says is all it costs
        more |= {"usage": spent} if spent else {}
        self._event("TurnEnded", outcome=outcome, reason=reason or outcome * (outcome == "cancelled"), **more)


def main() -> None:
    """Read who one is, and serve."""
    first = b""
    while not first.endswith(b"\n"):  # byte by byte: what follows belongs to the agent
        byte = os.read(0, 1)
        if not byte:
            sys.exit("nobody said who this agent is")
        first += byte
    start = json.loads(first)
    agent = EventAgent(start, start["script"])
    agent.hello()
    sys.exit(agent.run())
