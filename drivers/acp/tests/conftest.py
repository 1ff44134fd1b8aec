from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aegis.testing.seats import Seats
from aegis_acp.driver import AcpDriver

# What every agent of these tests begins with: it shakes hands, opens a session, and has a word for the rest.
AGENT = """
import json, sys
SESSION = "s1"
def hear():
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(0)
def say(*values):
    for value in values:
        print(value if isinstance(value, str) else json.dumps({"jsonrpc": "2.0"} | value), flush=True)
def answer(asked, **result): say({"id": asked["id"], "result": result})
def fail(asked, code, words, **data): say({"id": asked["id"], "error": {"code": code, "message": words, "data": data}})
def update(kind, session=SESSION, **fields):
    say({"method": "session/update", "params": {"sessionId": session, "update": {"sessionUpdate": kind, **fields}}})
def text(words): update("agent_message_chunk", content={"type": "text", "text": words})
def hello(**capable):
    answer(hear(), protocolVersion=1, agentCapabilities={"mcpCapabilities": {"http": True}} | capable)
def opened(**offer):
    hello()
    answer(hear(), sessionId=SESSION, **offer)
KINDS = {"p2": "allow_always", "p1": "allow_once", "p0": "reject_once"}
OPTIONS = [{"optionId": option, "name": option, "kind": kind} for option, kind in KINDS.items()]
def ask(number, options=OPTIONS, session=SESSION, **call):
    params = {"sessionId": session, "toolCall": {"toolCallId": "c1"} | call, "options": options}
    say({"id": number, "method": "session/request_permission", "params": params})
"""


@pytest.fixture
def seats(tmp_path: Path, environment: dict[str, str]) -> Seats:
    """Seats for the ACP driver."""
    return Seats(AcpDriver(), tmp_path, environment)


@pytest.fixture
def agent() -> Callable[[str], dict[str, list[str]]]:
    """Return the profile of an agent that is a few lines of Python."""
    return lambda script: {"command": [sys.executable, "-I", "-c", AGENT + script]}
