"""Whatever is written to the control socket: it is answered in JSON, and what comes after it is served."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis import Caller, hookimpl, verb
from aegis_cli import plugin as cli
from aegis_cli.socket_path import socket_of
from aegis_jsonrpc.message import INTERNAL

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
VERBS = st.sampled_from(["fuzz echo", "fuzz", "plugin list"]) | JSON
ARGUMENTS = st.fixed_dictionaries(
    {}, optional={"verb": VERBS, "args": st.fixed_dictionaries({"what": JSON}) | JSON, "call": JSON, "what": JSON,
                  "watch": st.integers(0, 2) | JSON, "since": st.integers(-9, 99) | JSON},
)  # fmt: skip
METHODS = [
    "hello",
    "call",
    "perform",
    "verbs",
    "complete",
    "snapshot",
    "plugins",
    "watch",
    "unwatch",
    "$/cancelRequest",
]
REQUESTS = st.fixed_dictionaries({"id": st.integers(0, 9), "method": st.sampled_from(METHODS), "params": ARGUMENTS})
STRANGE = st.fixed_dictionaries({"id": JSON, "method": JSON}, optional={"params": ARGUMENTS | JSON, "jsonrpc": JSON})
LINES = REQUESTS.map(json.dumps) | REQUESTS.map(json.dumps) | (STRANGE | JSON).map(json.dumps) | st.binary(max_size=40)


class Echo:
    name = "fuzz"

    @verb("fuzz echo")
    async def echo(self, caller: Caller, what: str, times: int = 1) -> str:
        """Say it again."""
        return what

    @hookimpl
    def aegis_primitives(self) -> list[Any]:
        return [self]


@pytest.fixture
def plugins():
    return {"cli": cli, "fuzz": Echo()}


def answers_to(path: str, sent: bytes) -> list[Any]:
    """Return what is said until the last request is answered."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(30)
        line.connect(path)
        line.sendall(sent + b'\n{"id": "last", "method": "hello"}\n')
        said = []
        for one in line.makefile("rb"):
            said.append(json.loads(one))
            if said[-1].get("id") == "last":
                line.shutdown(socket.SHUT_WR)
    return said


@pytest.mark.fuzz
async def test_no_line_ends_it_and_none_is_a_fault(kernel) -> None:
    path = str(socket_of(kernel.project))

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # others may use the machine
    @given(st.lists(LINES, max_size=8))
    def tried(lines: list[str | bytes]) -> None:
        said = answers_to(path, b"\n".join(one.encode() if isinstance(one, str) else one for one in lines))
        assert [one["result"]["pid"] for one in said if one.get("id") == "last"]
        assert [one for one in said if one.get("error", {}).get("code") == INTERNAL] == []

    await trio.to_thread.run_sync(tried)
    assert not kernel.bus.faults and not kernel.quit.is_set()
