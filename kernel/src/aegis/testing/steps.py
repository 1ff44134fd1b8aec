"""What each step of a script does; `script.STEPS` lists them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.testing.script import Rule, filled, kind

if TYPE_CHECKING:
    from aegis.testing.agent import ScriptedAgent

MALFORMED = (
    b"this is no message", b"{", b"", b"[]", b"null", b"17", b'"text"', b"\xff\xfe\x00", b"[" * 5_000, b'{"type": 5}',
    b'{"type": "assistant", "message": [1]}', b'{"type": "user", "message": {"content": [4]}}', b'{"type": "new"}',
    b'{"t": 5}', b'{"t": "Text", "text": {}}', b'{"t": "Novelty", "n": 1}', b'{"jsonrpc": "2.0", "id": "nobody"}',
)  # fmt: skip
_COMPLAINT = b"complaint " * 99 + b"\n"


class GaveUp(Exception):
    """The model ends the turn by an error of its own."""

    def __init__(self, why: str, outcome: str) -> None:
        super().__init__(why)
        self.outcome = outcome


def do(agent: ScriptedAgent, step: Rule, names: dict[str, Any]) -> None:
    """Take the step; what it brings is put into `names`. Raises `Interrupted` or `GaveUp` when the turn is to end."""
    what = kind(step)
    value = filled(step[what], names)
    if work := _work(agent, what, value, step, names):
        tool, given, server, run = work
        names["reply"] = agent.use(tool, given, run, server)
        names[step.get("save_as", "reply")] = names["reply"]
    else:
        _other(agent, what, value, step)


def _work(
    agent: ScriptedAgent, what: str, value: Any, step: Rule, names: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any], str, Callable[[], tuple[str, bool]]] | None:
    """Return tool, input, MCP server and how it is used, if the step uses one."""
    match what:
        case "call":
            given = filled(step.get("args", {}), names)
            server = step.get("server") or next(iter(agent.servers), "aegis")
            return value, given, server, partial(agent.ask_server, server, value, given)
        case "ask":
            return value, filled(step.get("input", {}), names), "", lambda: ("allowed", False)
        case "edit":
            given = {"path": value, "text": filled(step.get("text", ""), names)}
            return "edit", given, "", lambda: (_write(value, given["text"]), False)
        case "shell":
            return "shell", {"command": value}, "", lambda: (_shell(agent, value, bool(step.get("background"))), False)
    return None


def _other(agent: ScriptedAgent, what: str, value: Any, step: Rule) -> None:
    match what:
        case "say":
            agent.say(str(value))
        case "think":
            agent.think(str(value))
        case "line":
            agent.say("x" * value)
        case "wait" if isinstance(value, Mapping):
            agent.pause(Path(value["file"]).exists, glance=True)
        case "wait":
            agent.pause(lambda: False, float(value))
        case "usage":
            agent.spent |= value
        case "fail":
            raise GaveUp(str(value), step.get("outcome", "failed"))
        case "never_end":
            agent.pause(lambda: False)
        case "exit":
            agent.exit_code = value
        case _:
            _misbehave(agent, what, value)


def _misbehave(agent: ScriptedAgent, what: str, value: Any) -> None:
    match what:
        case "crash" if isinstance(value, str):
            os.kill(os.getpid(), getattr(signal, value))
        case "crash":
            os._exit(value)
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            agent.say(str(value))
            while True:
                signal.pause()
        case "close_stdout":
            os.close(1)
            agent.pause(lambda: False)
        case "stderr":
            for _ in range(value // len(_COMPLAINT) + 1):
                os.write(2, _COMPLAINT)
        case "raw":
            agent.stdio.write(value.encode(errors="surrogateescape"))
        case "malformed":
            agent.stdio.write(b"\n".join(MALFORMED) + b"\n")


def _write(path: str, text: str) -> str:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return f"{path} is written"


def _shell(agent: ScriptedAgent, command: str, background: bool) -> str:
    if agent.shells is None:
        from aegis.testing.shells import Shells  # noqa: PLC0415 - subprocess would slow the start of every agent

        agent.shells = Shells()
    shell = agent.shells.start(command)
    if background:
        return f"started as {shell.pid}"
    agent.pause(lambda: shell.poll() is not None, glance=True)
    return f"exit code {shell.returncode}"
