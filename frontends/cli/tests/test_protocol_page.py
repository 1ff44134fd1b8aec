"""The page on the client protocol is true: a stranger can write a client from it."""

import inspect
import json
import re
from pathlib import Path

import pytest
import trio

import aegis_inbox.plugin
from aegis.frontend import Client
from aegis_cli import plugin, service
from aegis_cli.lines import line_reader
from aegis_cli.socket_path import socket_of

PAGE = (Path(__file__).resolve().parents[3] / "docs/explanation/client-protocol.md").read_text()


@pytest.fixture
def plugins():
    return {"cli": plugin, "inbox": aegis_inbox.plugin}


def shape(value):
    """Return the value with its texts and large numbers left out."""
    if isinstance(value, dict):
        return {key: value[key] if key in ("t", "type", "kinds") else shape(value[key]) for key in value}
    if isinstance(value, list):
        return [shape(x) for x in value]
    return type(value).__name__ if isinstance(value, str) or (isinstance(value, int) and value > 1000) else value


def test_every_method_is_on_it():
    asked = {name for names in re.findall(r'case ("\w+"(?: \| "\w+")*):', inspect.getsource(service)) for name in
             re.findall(r"\w+", names)}  # fmt: skip
    told = set(re.findall(r'_tell\("(\w+)"', inspect.getsource(service)))
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {"watch", "hello", "quit"} <= asked
    assert told == {"events", "progress"}
    assert asked | told <= named
    assert {name for name in vars(Client) if not name.startswith("_")} <= named


async def test_its_example_is_what_is_said(kernel):
    [example] = [block for block in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if "jsonrpc" in block]
    async with await trio.open_unix_socket(str(socket_of(kernel.project))) as stream:
        read, waiting = line_reader(stream), []
        for line in example.splitlines():
            if line.startswith("> "):
                await stream.send_all(line[2:].encode() + b"\n")
                continue
            expected = json.loads(line.removeprefix("< "))
            with trio.fail_after(10):
                while not (found := [m for m in waiting if m.get("id") == expected.get("id")]):
                    waiting += [json.loads(message) for message in await read()]  # events may come before an answer
            waiting.remove(found[0])
            assert shape(found[0]) == shape(expected)
