"""Records what the real Claude Code says, for the driver's own tests: `tests/live/run`'s surroundings, no pytest.

Usage: python tests/live/record.py CLAUDE drivers/claude/tests/recordings
A recording is the CLI's lines, shortened, without this machine's paths; `{"sent": …}` marks what the driver wrote.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from model_server import running, text, thinking, tool_use
from stage import Stage, bash, turn, until_end

from aegis import Command, Process
from aegis.driver import Decision, McpServer, PermissionRequest
from aegis.errors import LaunchError
from aegis.events import SessionStarted
from aegis.testing.plane import serving

LONG = 300  # characters kept of a string
DROPPED = {
    "uuid", "timestamp", "capabilities", "tools", "skills", "agents", "plugins", "memory_paths", "apiKeySource",
    "analytics_disabled", "product_feedback_disabled", "served_by_anthropic", "messaging_socket_path", "signature",
    "fast_mode_state", "fast_mode_disabled_reason", "terminal_slash_commands", "output_style", "subagent_stats",
    "output_file", "server_tool_use", "cache_creation", "iterations", "permission_suggestions", "run_id",
    "commands", "models", "account", "available_output_styles", "pid",
}  # fmt: skip


class Tee:
    """A process that writes down what passes."""

    def __init__(self, process: Process, lines: list[Any]) -> None:
        self._process, self._lines = process, lines
        self.command, self.pid = process.command, process.pid

    async def lines(self) -> list[bytes]:
        batch = await self._process.lines()
        self._lines += map(json.loads, batch)
        return batch

    async def write(self, data: bytes) -> None:
        self._lines.append({"sent": json.loads(data)})
        await self._process.write(data)


class Studio(Stage):
    """A stage whose sessions are recorded."""

    lines: list[Any]

    @asynccontextmanager
    async def start(self, nursery: trio.Nursery, command: Command) -> AsyncIterator[Process]:
        async with super().start(nursery, command) as process:
            yield Tee(process, self.lines)  # type: ignore[misc]  # all that a driver uses of a process

    def written(self) -> list[Any]:
        """Return the lines as they are kept."""
        places = {str(self.project): "/home/ada/project", str(self.home): "/home/ada", str(self.seat): "/home/ada/seat"}
        kept = [_short(line, places) for line in self.lines]
        return [line for line in kept if line.get("subtype") != "thinking_tokens"]


def _short(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in DROPPED or (k == "uuid" and value.get("type") == "user")}
        return {k: _short(v[:2] if k == "slash_commands" else v, places) for k, v in kept.items()}
    if isinstance(value, list):
        return [_short(item, places) for item in value]
    if isinstance(value, str):
        for place, name in places.items():
            value = value.replace(place, name).replace(place.replace("/", "-"), name.replace("/", "-"))
        return value if len(value) <= LONG else value[:LONG] + "…"
    return value


async def talk(studio: Studio, *prompts: str, **opened: Any) -> None:
    async with studio.open(**opened) as session:
        for prompt in prompts:
            await turn(session, prompt)


async def turns(studio: Studio) -> None:
    studio.model.follow(
        {"when": "first", "say": [thinking("hm"), text("one, "), text("two")]},
        {"say": "short", "usage": {"input_tokens": 7, "cache_read_input_tokens": 300}},
    )
    await talk(studio, "first", "second")


async def tools(studio: Studio) -> None:
    new = tool_use("Write", file_path=str(studio.project / "a.txt"), content="old words")
    change = tool_use("Edit", file_path=str(studio.project / "a.txt"), old_string="old", new_string="new")
    studio.model.follow({"when": "go", "say": [bash("echo 1"), bash("false"), new, change]}, {"say": "done"})
    await talk(studio, "go", permission="full")


async def permission(studio: Studio) -> None:
    async def judge(request: PermissionRequest) -> Decision:
        return Decision("allowed") if "yes" in request.title else Decision("denied", "not on a Friday")

    studio.model.follow({"when": "go", "say": [bash("touch yes"), bash("touch no")]}, {"say": "done"})
    await talk(studio, "go", ask=judge)


async def plane_call(studio: Studio) -> None:
    studio.model.follow({"when": "go", "say": [tool_use("mcp__aegis__whoami")]}, {"say": "done"})
    with serving() as server:
        await talk(studio, "go", servers=[server.server("alice", "secret")])


async def plane_lost(studio: Studio) -> None:
    await talk(studio, "go", "again", servers=[McpServer("aegis", "http://127.0.0.1:9/mcp")])


def _delegating(studio: Studio) -> None:
    delegate = tool_use("Agent", description="look", prompt="inner job", subagent_type="general-purpose")
    studio.model.follow(
        {"when": "inner job", "say": [text("inner says"), bash("echo inner")]},
        {"on": "tool_result", "when": "^inner$", "say": "inner reply"},
        {"when": "go", "say": [text("delegating"), delegate]},
        {"when": "task-notification", "say": "it came back"},
        {"on": "tool_result", "say": "all done"},
    )


async def sub_agent(studio: Studio) -> None:
    _delegating(studio)
    await talk(studio, "go")


async def background(studio: Studio) -> None:
    _delegating(studio)
    async with studio.open(background=True) as session:
        await turn(session, "go")
        with trio.fail_after(20):
            while not any(line.get("origin") for line in studio.lines):  # the end of a turn of its own is no event
                with trio.move_on_after(0.1):
                    await session.receive()
        await turn(session, "hello")


async def tasks(studio: Studio) -> None:
    made = [tool_use("TaskCreate", subject=name, description=name) for name in ("first", "second", "third")]
    done = [tool_use("TaskUpdate", taskId=task, status=now) for task, now in (("1", "completed"), ("3", "deleted"))]
    studio.model.follow({"when": "plan", "say": made}, {"when": "work", "say": done}, {"say": "ok"})
    await talk(studio, "plan", "work")


async def interrupt(studio: Studio) -> None:
    studio.model.follow({"when": "hang", "say": "starting", "hang": True}, {"say": "still here"})
    async with studio.open() as session:
        await session.send("hang")
        while not any(type(event) is SessionStarted for event in await session.receive()):
            pass
        await session.interrupt()
        await until_end(session)
        await turn(session, "hello")


async def interrupt_queued(studio: Studio) -> None:
    async with studio.open() as session:
        await session.send("hang")
        await session.interrupt()
        await until_end(session)
        await turn(session, "hello")


async def model_error(studio: Studio) -> None:
    studio.model.follow({"when": "break", "error": 400}, {"say": "better"})
    await talk(studio, "break", "and now")


async def retried(studio: Studio) -> None:
    studio.model.follow({"error": 529, "times": 1}, {"say": "there"})
    await talk(studio, "go")


async def refused(studio: Studio) -> None:
    studio.model.follow({"say": "no", "stop": "refusal"})
    await talk(studio, "go")


async def truncated(studio: Studio) -> None:
    studio.model.follow({"say": "part", "stop": "max_tokens"})
    await talk(studio, "go")


async def local_command(studio: Studio) -> None:
    await talk(studio, "/cost")


async def unknown_session(studio: Studio) -> None:
    try:
        await talk(studio, resume="99999999-9999-4999-8999-999999999999")
    except LaunchError:
        return
    raise AssertionError("it was resumed")


SCENES: list[Callable[[Studio], Awaitable[None]]] = [
    turns, tools, permission, plane_call, plane_lost, sub_agent, background, tasks, interrupt, interrupt_queued,
    model_error, retried, refused, truncated, local_command, unknown_session,
]  # fmt: skip


def main() -> None:
    """Record every scene."""
    claude, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(exist_ok=True)
    for scene in SCENES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, running() as model:
            studio = Studio(Path(folder), claude, model)
            studio.lines = []
            trio.run(scene, studio)
            lines = [json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in studio.written()]
            (target / f"{scene.__name__}.jsonl").write_text("\n".join(lines) + "\n")
            print(scene.__name__, len(lines))


if __name__ == "__main__":
    main()
