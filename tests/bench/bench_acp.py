"""ACP: updates of one agent as events, beside their JSON alone; and agents that answer at once, beside bare pipes.

They are fake CLIs, each a real process. They are driven by a kernel, and by hand without one: the same processes and
lines, nothing of aegis between.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec
import trio
from rows import Aim, Row, report

AGENTS, UPDATES, ROUNDS = 30, 100_000, 5
CHUNKS = 20  # of an answer
WORDS = "lorem ipsum dolor sit amet "
SCRIPT = [{"do": [{"think": WORDS}, *[{"say": WORDS}] * CHUNKS, {"usage": {"input": 5, "output": 2, "cost": 0.25}}]}]


# -- updates as events ---------------------------------------------------------------------------------------------


def updates() -> list[dict[str, Any]]:
    """Return what an agent says in a turn: mostly words, some thoughts, a tool with its output, and the bill."""
    text = {"type": "text", "text": WORDS}
    words: dict[str, Any] = {"sessionUpdate": "agent_message_chunk", "content": text, "messageId": "m1"}
    thought = words | {"sessionUpdate": "agent_thought_chunk"}
    begun = {"toolCallId": "c1", "kind": "execute", "status": "pending", "title": "bash", "rawInput": {}}
    runs = {"toolCallId": "c1", "kind": "execute", "status": "in_progress", "rawInput": {"command": "ls"}}
    output = [{"type": "content", "content": text}]
    said = {"toolCallId": "c1", "kind": "execute", "status": "in_progress", "content": output}
    done = {"toolCallId": "c1", "status": "completed", "content": output, "rawOutput": {"output": WORDS}}
    tool = [{"sessionUpdate": "tool_call"} | begun]
    tool += [{"sessionUpdate": "tool_call_update"} | told for told in (runs, *[said] * 4, done)]
    bill = {"sessionUpdate": "usage_update", "used": 7, "size": 200_000, "cost": {"amount": 0.25, "currency": "USD"}}
    return [*[thought] * 8, *tool, *[words] * 34, bill]


def lines(said: Sequence[dict[str, Any]]) -> list[bytes]:
    """Return the lines of a stream that repeats this, every turn with tools of its own."""
    found = []
    for number in range(UPDATES // len(said)):
        for update in said:
            own = update | ({"toolCallId": f"c{number}"} if "toolCallId" in update else {})
            params = {"sessionId": "5d1f7a00-0000-4000-8000-000000000000", "update": own}
            message = {"jsonrpc": "2.0", "method": "session/update", "params": params}
            found.append(msgspec.json.encode(message))
    return found


def translate(stream: list[bytes], size: int) -> float:
    """Return the CPU seconds that all lines take to become events, turns of so many lines."""
    from aegis.events import SessionStarted  # noqa: PLC0415 - the pipes' programs are light
    from aegis_acp import wire  # noqa: PLC0415 - the same
    from aegis_acp.translate import Translator  # noqa: PLC0415 - the same

    translator, decode, events = Translator(), msgspec.json.decode, 0
    translator.opened(SessionStarted("s1"), 0.0)
    started = time.process_time()
    for at in range(0, len(stream), size):
        translator.begin()
        for line in wire.lines(stream[at : at + size]):
            events += len(translator.update(decode(line)["params"]["update"]))
        events += len(translator.ended({"stopReason": "end_turn"}))
    took = time.process_time() - started
    assert events > 0.8 * len(stream), events
    return took


def parse(stream: list[bytes]) -> float:
    """Return the CPU seconds that it takes to read the JSON."""
    decode = msgspec.json.decode
    started = time.process_time()
    for line in stream:
        decode(line)
    return time.process_time() - started


# -- a hundred agents ----------------------------------------------------------------------------------------------


def agent(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a fake agent with a home in the folder."""
    script = folder / "script.json"
    script.write_text(json.dumps(SCRIPT))
    return [sys.executable, "-m", "aegis_acp.testing", "--script", str(script)], {
        "PATH": os.environ["PATH"], "HOME": str(folder),
    }  # fmt: skip


class Watch:
    """What this process and its children took since it was made, and since the last look."""

    def __init__(self) -> None:
        gc.collect()
        self._at, self._cpu = time.perf_counter(), time.process_time()
        self.found: dict[str, float] = {}

    def look(self, what: str) -> None:
        """Note the wall and CPU time since the last look."""
        at, cpu = time.perf_counter(), time.process_time()
        self.found |= {f"{what} wall": at - self._at, f"{what} cpu": cpu - self._cpu}
        self._at, self._cpu = time.perf_counter(), time.process_time()

    def say(self) -> None:
        """Print it all."""
        print(json.dumps(self.found))


async def kernel(folder: Path) -> None:
    """Have them in one kernel, with every plugin."""
    plugins = {point.name: point.load() for point in entry_points(group="aegis.plugins")}
    from aegis import open_kernel  # noqa: PLC0415 - the pipes' programs are light
    from aegis_cli.running import freeze_memory  # noqa: PLC0415 - the same

    command, environment = agent(folder)
    (folder / ".aegis.yaml").write_text(json.dumps({"agents": {"fake": {"provider": "acp", "command": command}}}))
    async with open_kernel(folder, plugins=plugins, environment=environment, trusted=True) as opened:
        import_module("aegis_acp.opening")  # the protocol's types, which every number of agents needs once
        freeze_memory()
        watch = Watch()
        async with trio.open_nursery() as nursery:
            for number in range(AGENTS):
                nursery.start_soon(opened.roster.spawn, "fake", f"agent-{number}")
        watch.look("start")
        ends: list[Any] = []

        async def ask(one: Any) -> None:
            receipt = await opened.post.deliver(opened.post.envelope("human:bench", one.id, "go"))
            ends.append(await opened.post.wait_turn(receipt.id))

        async with trio.open_nursery() as nursery:
            for one in opened.roster:
                nursery.start_soon(ask, one)
        watch.look("answer")
        assert [(end.outcome, end.reply) for end in ends] == [("completed", WORDS * CHUNKS)] * AGENTS
    watch.look("leave")
    watch.say()


@asynccontextmanager
async def pipes(command: Sequence[str], environment: dict[str, str]) -> AsyncIterator[Callable[..., Any]]:
    """Start a process; what is entered sends it messages and returns the line that ends its answer."""
    process = await trio.lowlevel.open_process(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin and process.stdout
    rest = b""

    async def ask(data: bytes, until: bytes) -> bytes:
        nonlocal rest
        await process.stdin.send_all(data)
        said = rest
        while until not in said or not said.endswith(b"\n"):
            said += await process.stdout.receive_some(65_536)
        return said

    yield ask
    await process.stdin.aclose()
    await process.wait()


async def hundred(command: Sequence[str], environment: dict[str, str], talk: Callable[..., Any]) -> None:
    """Have them without a kernel: `talk` to each, and wait for the others before and after what it asks."""
    opened, answered = [trio.Event() for _ in range(AGENTS)], [trio.Event() for _ in range(AGENTS)]
    go, leave = trio.Event(), trio.Event()
    watch = Watch()

    async def one(number: int) -> None:
        async with pipes(command, environment) as ask:
            await talk(ask, opened[number].set, go)
            answered[number].set()
            await leave.wait()

    async with trio.open_nursery() as nursery:
        for number in range(AGENTS):
            nursery.start_soon(one, number)
        for event in opened:
            await event.wait()
        watch.look("start")
        go.set()
        for event in answered:
            await event.wait()
        watch.look("answer")
        leave.set()
    watch.look("leave")
    watch.say()


def request(number: int, method: str, **params: Any) -> bytes:
    """Return a line that asks an agent."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n"


async def by_hand(ask: Callable[..., Any], opened: Callable[[], None], go: trio.Event) -> None:
    """Say to a fake agent what a kernel would say."""
    await ask(request(1, "initialize", protocolVersion=1, clientCapabilities={}), b'"id":1,')
    new = await ask(request(2, "session/new", cwd="/", mcpServers=[]), b'"id":2,')
    opened()
    await go.wait()
    session = json.loads(new)["result"]["sessionId"]
    prompt = [{"type": "text", "text": "go"}]
    said = await ask(request(3, "session/prompt", sessionId=session, prompt=prompt), b'"id":3,')
    assert said.count(WORDS.encode()) == CHUNKS + 1


# -- the figures ---------------------------------------------------------------------------------------------------


def run(what: str) -> dict[str, float]:
    """Return the figures of a program of this file."""
    found: dict[str, float] = json.loads(subprocess.check_output([sys.executable, __file__, what]).splitlines()[-1])
    return found


def main() -> Iterator[Row]:
    """Yield the rows."""
    turn = updates()
    words = [update for update in turn if update["sessionUpdate"] == "agent_message_chunk"]
    for what, said in (("a turn with a tool", turn), ("words alone", words)):
        stream = lines(said)
        took = [(translate(stream, len(said)), parse(stream)) for _ in range(ROUNDS)]
        figure, floor = (statistics.median(times) / len(stream) * 1e6 for times in zip(*took, strict=True))
        yield Row(f"ACP update to event, {what} (floor: its JSON)", figure, "us", floor=floor, aims=[Aim(20)])
    figures, hand = run("kernel"), run("hand")
    for what, name in (("have started", "start"), ("answer", "answer"), ("have ended", "leave")):
        wall, least = (found[name + " wall"] * 1000 for found in (figures, hand))
        each = figures[name + " cpu"] / AGENTS * 1000
        yield Row(f"{AGENTS} ACP agents {what} (floor: by hand; CPU: for each)", wall, "ms", each, least)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        match sys.argv[1:]:
            case ["kernel"]:
                trio.run(kernel, Path(name))
            case ["hand"]:
                trio.run(hundred, *agent(Path(name)), by_hand)
            case _:
                report(main())
