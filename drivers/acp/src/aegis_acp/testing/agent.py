"""An agent's side of the Agent Client Protocol, played from a script (`aegis.testing.script`).

What real agents do differently is switched on by flags: Gemini announces no tool for which it asks permission,
OpenCode ends the turn when that is not given, and so on (`Flags`). It keeps its conversations in HOME.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from aegis.testing.agent import Interrupted, ScriptedAgent
from aegis.testing.script import Rule, rules_of
from aegis.testing.steps import GaveUp

VERSION = "1.0.0"
NO_METHOD, INVALID, INTERNAL = -32601, -32602, -32603
MODES = ("default", "autoEdit", "yolo")
_KINDS = {"edit": "edit", "shell": "execute"}
_OPTIONS = (
    ("always", "Allow always", "allow_always"),
    ("once", "Allow once", "allow_once"),
    ("reject", "Reject", "reject_once"),
)


class Flags(argparse.ArgumentParser):
    """How this agent differs from others; what it does not know, it passes over, as the flags of a real CLI."""

    def __init__(self) -> None:
        super().__init__(prog="aegis_acp.testing", add_help=False, allow_abbrev=False)
        self.add_argument("--script", default="")
        self.add_argument("--version", action="store_true")
        self.add_argument("--unannounced", action="store_true", help="a permission request is the first sign of a tool")
        self.add_argument("--deny-ends-turn", action="store_true", help="a tool that may not run ends the turn")
        self.add_argument("--late-usage", action="store_true", help="the cost is said after the turn's end")
        self.add_argument("--replay", choices=("no", "before", "after"), default="before", help="history at a load")
        self.add_argument("--no-load", action="store_true")
        self.add_argument("--no-resume", action="store_true")
        self.add_argument("--lies", action="store_true", help="it says that it can resume, and cannot")
        self.add_argument("--no-http", action="store_true", help="no MCP server over HTTP")
        self.add_argument("--strange", action="store_true", help="news of a later version, and of others' sessions")


class Acp(ScriptedAgent):
    """One process with one conversation."""

    def __init__(self, rules: Sequence[Rule], flags: argparse.Namespace) -> None:
        super().__init__(rules)
        self._flags = flags
        self.handle = os.environ.get("AEGIS_HANDLE", "")
        self.session, self.mode, self.model = "", "default", "fake"
        self._folder = Path(os.environ["HOME"]) / ".fakecli"
        self._prompting: Any = None
        self._asked: dict[str, Any] = {}
        self._cost = 0.0
        self._requests: dict[str, Callable[[dict[str, Any]], Any]] = {
            "initialize": self._initialize,
            "session/new": self._new,
            "session/load": self._load,
            "session/resume": self._resume,
            "session/set_mode": self._set_mode,
            "session/set_model": self._set_model,
            "session/set_config_option": self._set_option,
        }
        if flags.no_resume or flags.lies:
            del self._requests["session/resume"]
        self._owed = False  # history that is said again after the answer

    # ------------------------------------------------------------------------------------------------- hearing

    def hear(self, line: bytes) -> None:
        """Take in a message; a line that is none is passed over."""
        try:
            message = json.loads(line)
        except ValueError:
            return
        if self._owed:  # Gemini's answer does not wait for its history
            self._owed = False
            self._replay()
        match message:
            case {"id": number, "method": "session/prompt", "params": dict(params)}:
                self._prompted(number, params)
            case {"id": number, "method": str(method), "params": dict(params)}:
                self._requested(number, method, params)
            case {"method": "session/cancel"}:
                self.interrupted = self.busy or bool(self.prompts)
            case {"id": str(number), "result": answer} if number in self._asked:
                self._asked[number] = answer
            case {"id": str(number), "error": error} if number in self._asked:
                self._asked[number] = error

    def _requested(self, number: Any, method: str, params: dict[str, Any]) -> None:
        answer = self._requests.get(method)
        if answer is None:
            return self._error(number, NO_METHOD, f'"Method not found": {method}')
        try:
            self._send({"id": number, "result": answer(params)})
        except LookupError as error:
            self._error(number, INVALID, str(error.args[0]))

    def _prompted(self, number: Any, params: dict[str, Any]) -> None:
        if params.get("sessionId") != self.session or not self.session:
            return self._error(number, INVALID, f"Session not found: {params.get('sessionId')}")
        if self._prompting is not None:
            return self._error(number, INVALID, "a turn is running, and a client was to know that")
        self._prompting = number
        *before, words = [str(block.get("text", "")) for block in params.get("prompt", [])]
        if before:
            self.memory["primer"] = "\n".join(before)
        self.prompt(words)

    # ---------------------------------------------------------------------------------------------- its sessions

    def _initialize(self, params: dict[str, Any]) -> Any:
        capable: dict[str, Any] = {"loadSession": not self._flags.no_load}
        capable["mcpCapabilities"] = {"http": not self._flags.no_http, "sse": False}
        capable["sessionCapabilities"] = {} if self._flags.no_resume else {"resume": {}}
        info = {"name": "fakecli", "title": "Fake", "version": VERSION}
        return {"protocolVersion": 1, "agentCapabilities": capable, "agentInfo": info, "authMethods": []}

    def _new(self, params: dict[str, Any]) -> Any:
        self.session = str(uuid4())
        self._keep()
        self._connect(params)
        return {"sessionId": self.session} | self._offer()

    def _load(self, params: dict[str, Any]) -> Any:
        offer = self._reopened(params)
        if self._flags.replay == "before":
            self._replay()
        self._owed = self._flags.replay == "after"
        return offer

    def _resume(self, params: dict[str, Any]) -> Any:
        return self._reopened(params)

    def _reopened(self, params: dict[str, Any]) -> Any:
        file = self._folder / f"acp-{params['sessionId']}.json"
        if not file.exists():
            raise LookupError(f"Session not found: {params['sessionId']}")
        self.session = params["sessionId"]
        self.memory = json.loads(file.read_text(encoding="utf-8"))
        self._cost = self.memory.get("cost", 0.0)
        self._connect(params)
        return self._offer()

    def _replay(self) -> None:
        for who, words in self.memory.get("said", []):
            self._update(f"{who}_message_chunk", content={"type": "text", "text": words})

    def _offer(self) -> dict[str, Any]:
        modes = [{"id": mode, "name": mode} for mode in MODES]
        values = [{"value": model, "name": model} for model in ("fake", "other")]
        option = {"id": "model", "name": "Model", "category": "model", "type": "select"}
        return {
            "modes": {"currentModeId": self.mode, "availableModes": modes},
            "configOptions": [option | {"currentValue": self.model, "options": values}],
        }

    def _connect(self, params: dict[str, Any]) -> None:
        told = {s["name"]: (s["url"], {h["name"]: h["value"] for h in s["headers"]}) for s in params["mcpServers"]}
        self.connect(told)

    def _set_mode(self, params: dict[str, Any]) -> Any:
        if params["modeId"] not in MODES:
            raise LookupError(f"no mode {params['modeId']!r}")
        self.mode = params["modeId"]
        return {}

    def _set_model(self, params: dict[str, Any]) -> Any:
        self.model = params["modelId"]
        return {}

    def _set_option(self, params: dict[str, Any]) -> Any:
        if params["configId"] != "model":
            raise LookupError(f"no option {params['configId']!r}")
        self.model = params["value"]
        return {"configOptions": self._offer()["configOptions"]}

    def _keep(self) -> None:
        self._folder.mkdir(exist_ok=True)
        (self._folder / f"acp-{self.session}.json").write_text(
            json.dumps(self.memory | {"cost": self._cost}), encoding="utf-8"
        )

    # ------------------------------------------------------------------------------------------------- speaking

    def _send(self, message: dict[str, Any]) -> None:
        self.stdio.write(json.dumps({"jsonrpc": "2.0"} | message, separators=(",", ":")).encode() + b"\n")

    def _error(self, number: Any, code: int, words: str, **data: Any) -> None:
        self._send({"id": number, "error": {"code": code, "message": words} | ({"data": data} if data else {})})

    def _update(self, kind: str, /, *, session: str = "", **fields: Any) -> None:
        params = {"sessionId": session or self.session, "update": {"sessionUpdate": kind} | fields}
        self._send({"method": "session/update", "params": params})

    def begin(self) -> None:
        """Keep the conversation, so that it can be resumed from now on."""
        self.primer = self.memory.get("primer", "")
        self._keep()
        if self._flags.strange:
            self._update("weather_update", forecast=["rain"])
            self._update("agent_message_chunk", session="nobody", content={"type": "text", "text": "not for you"})
            self._update("agent_message_chunk", content=17)
            self._send({"method": "_fake/note", "params": {}})
            self._send({"id": "f1", "method": "fs/write_text_file", "params": {"path": "/x", "content": ""}})

    def say(self, text: str) -> None:
        """Say something."""
        self._remember("agent", text if len(text) < 1_000 else "...")
        self._update("agent_message_chunk", content={"type": "text", "text": text})

    def think(self, text: str) -> None:
        """Think something."""
        self._update("agent_thought_chunk", content={"type": "text", "text": text})

    def _remember(self, who: str, words: str) -> None:
        self.memory["said"] = [*self.memory.get("said", []), (who, words)]

    def call(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> None:
        """Announce that a tool is used, unless that is only seen when it asks for permission."""
        if server or not self._flags.unannounced:
            self._update("tool_call", status="pending", **self._tool(number, tool, given, server) | {"rawInput": {}})
            self._update("tool_call_update", status="in_progress", **self._tool(number, tool, given, server))

    def _tool(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> dict[str, Any]:
        title = f"{server}_{tool}" if server else str(given.get("path", given.get("command", tool)))
        kind = "other" if server else _KINDS.get(tool, "other")
        told: dict[str, Any] = {"toolCallId": number, "title": title, "kind": kind, "rawInput": dict(given)}
        if tool == "edit":
            path = str(Path(given["path"]).absolute())
            told["locations"] = [{"path": path}]
            told["content"] = [{"type": "diff", "path": path, "oldText": None, "newText": given["text"]}]
        return told

    def result(self, number: str, text: str, *, failed: bool = False) -> None:
        """Say what the tool answered."""
        if self._denied(number) and self._flags.unannounced:
            return
        status = "failed" if failed else "completed"
        content = [{"type": "content", "content": {"type": "text", "text": text}}]
        self._update("tool_call_update", toolCallId=number, status=status, content=content, rawOutput={"output": text})
        if self._denied(number) and self._flags.deny_ends_turn:
            raise GaveUp("", "completed")

    def _denied(self, number: str) -> bool:
        return self.memory.get("denied") == number

    def refusal(self, number: str, tool: str, given: Mapping[str, Any], server: str = "") -> str:
        """Ask the client, when the mode leaves it open."""
        if server or self.mode == "yolo" or (self.mode == "autoEdit" and tool == "edit"):
            return ""
        asked = f"ask-{number}"
        self._asked[asked] = None
        options = [{"optionId": option, "name": name, "kind": kind} for option, name, kind in _OPTIONS]
        params = {"sessionId": self.session, "toolCall": self._tool(number, tool, given), "options": options}
        self._send({"id": asked, "method": "session/request_permission", "params": params})
        try:
            self.pause(lambda: self._asked[asked] is not None)
        except Interrupted:
            self.pause_for(lambda: self._asked[asked] is not None)
            raise
        finally:
            answer = self._asked.pop(asked)
        match answer:
            case {"outcome": {"outcome": "selected", "optionId": "once" | "always"}}:
                return ""
            case {"outcome": {"outcome": "selected", "optionId": "reject"}}:
                self.memory["denied"] = number
                return "The user rejected this tool call."
            case {"outcome": {"outcome": "cancelled"}}:
                self.memory["denied"] = number
                return "The request was cancelled."
        return f"no such answer: {answer}"

    def pause_for(self, over: Callable[[], bool]) -> None:
        """Wait for an answer that the protocol owes even after a cancel."""
        self.stdio.wait(lambda: over() or self.stdio.closed, 5)
        if not over():
            print("a permission request was not answered at the cancel", file=sys.stderr)
            os._exit(9)

    # -------------------------------------------------------------------------------------------------- the end

    def end(self, outcome: str, reason: str) -> None:
        """Answer the prompt."""
        self._remember("user", self.memory["before"])
        self._cost += self.spent.get("cost", 0)
        self._keep()
        number, self._prompting = self._prompting, None
        if self.spent and not self._flags.late_usage:
            self._bill()
        if outcome == "failed":
            self._error(number, INTERNAL, "Internal error", details=reason)
        else:
            stop = {"cancelled": "cancelled", "refused": "refusal", "truncated": "max_tokens"}.get(outcome, "end_turn")
            self._send({"id": number, "result": {"stopReason": stop, "usage": self._usage()}})
        if self.spent and self._flags.late_usage:
            self._bill()

    def _bill(self) -> None:
        used = self.spent.get("input", 0) + self.spent.get("output", 0)
        self._update("usage_update", used=used, size=200_000, cost={"amount": self._cost, "currency": "USD"})

    def _usage(self) -> dict[str, Any]:
        spent = {name: self.spent.get(name, 0) for name in ("input", "output", "cache_read", "cache_write")}
        return {
            "inputTokens": spent["input"],
            "outputTokens": spent["output"],
            "cachedReadTokens": spent["cache_read"],
            "cachedWriteTokens": spent["cache_write"],
            "totalTokens": sum(spent.values()),
        }


def main(argv: Sequence[str]) -> None:
    """Be the agent."""
    flags, _ = Flags().parse_known_args(argv)
    if flags.version:
        print(VERSION)
        return
    agent = Acp(rules_of(flags.script), flags)

    def terminated(number: int, frame: Any) -> None:
        if agent.shells:
            agent.shells.end()
        os._exit(143)

    signal.signal(signal.SIGTERM, terminated)
    sys.exit(agent.run())
