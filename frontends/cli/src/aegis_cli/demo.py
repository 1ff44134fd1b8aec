"""`aegis demo`: three scripted agents play a short story through the real kernel, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import trio

from aegis import Client
from aegis.events import AgentChanged, Delivered, Event
from aegis.project import FILE
from aegis_cli.console import first, served
from aegis_cli.running import kernel_here, local_user, say, stoppable
from aegis_cli.shell import Shell, own_parser
from aegis_cli.signals import take_over
from aegis_cli.transcript import Transcript
from aegis_printable.printable import printable

_DEADLINE = 60.0  # seconds the story may take, on the slowest machine
_DRAWN = 1.0  # seconds for a console to draw itself before the story begins


@dataclass
class Story:
    """A scenario, and how far it has come."""

    told: dict[str, Any]
    handles: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    seen: int = 0

    @classmethod
    def load(cls) -> Story:
        """Return the story that comes with this package, untold."""
        return cls(tomllib.loads((files("aegis_cli") / "story" / "story.toml").read_text(encoding="utf-8")))

    def name(self, agent_id: str) -> str:
        """Return the handle of an agent, or the address itself."""
        return self.handles.get(agent_id, agent_id)

    def take(self, agent_id: str, event: Event) -> None:
        """Account for what happened."""
        if isinstance(event, AgentChanged):
            self.handles[agent_id] = event.agent["handle"]
            self.states[agent_id] = event.agent["state"]
        elif isinstance(event, Delivered) and self.seen < len(self.told["mail"]):
            wanted, sender = self.told["mail"][self.seen], event.envelope["sender"].removeprefix("agent:")
            self.seen += sender == wanted["from"] and self.name(agent_id).split(":")[0] == wanted["to"]

    def missing(self, folder: Path) -> list[str]:
        """Return what has not happened yet, empty once the story is over."""
        mail = [f"mail from {m['from']} to {m['to']}" for m in self.told["mail"][self.seen :]]
        written = [f"the file {name}" for name in self.told["files"] if not (folder / name).is_file()]
        working = [f"{self.name(a)} coming to rest (it is {s})" for a, s in self.states.items() if s != "idle"]
        return mail + written + working


def run(shell: Shell, words: Sequence[str]) -> int:
    """Play the story at a console, or, with --plain or without a terminal, as a transcript."""
    parser = own_parser("demo")
    parser.add_argument("--plain", action="store_true", help="print the transcript and end with the story")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    given = vars(parser.parse_args(words))
    plain = given.get("plain", False) or not (sys.stdin.isatty() and sys.stdout.isatty())
    take_over()
    folder = Path(tempfile.mkdtemp(prefix="aegis-demo-")).resolve()
    try:
        shutil.copyfile(str(files("aegis_cli") / "story" / "aegis.yaml"), folder / FILE)
        return trio.run(_play, folder, plain)
    finally:
        if given.get("keep"):
            say(f"the demo's folder is {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _play(folder: Path, plain: bool) -> int:
    story = Story.load()
    environment = {**os.environ, "PYTHON": sys.executable}
    code = 1
    async with (
        stoppable((signal.SIGTERM, signal.SIGHUP)) as stop,
        kernel_here(folder, environment=environment, trusted=True) as kernel,
    ):
        stop.orderly = not plain
        client = kernel.client(local_user())
        if plain:
            return await _told(story, client, folder)
        console = first(kernel.plugins.found)
        await _spawn_cast(story, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_open, story, client, _DRAWN)
            code = await served(console, client, "", kernel.quit, stop.requested)
            nursery.cancel_scope.cancel()
    return code


async def _spawn_cast(story: Story, client: Client) -> None:
    for handle in story.told["cast"]:
        await client.call("spawn", {"agent": handle, "handle": handle})


async def _open(story: Story, client: Client, after: float = 0.0) -> None:
    await trio.sleep(after)
    opening = story.told["opening"]
    await client.call("send", {"handle": opening["to"], "text": opening["text"].strip()})


async def _told(story: Story, client: Client, folder: Path) -> int:
    transcript = Transcript(story.name)
    with trio.move_on_after(_DEADLINE):
        async with client.watch() as news:
            await _spawn_cast(story, client)
            await _open(story, client)
            async for batches in news:
                for agent_id, events, _ in batches:
                    for event in events:
                        story.take(agent_id, event)
                        for entry in transcript.take(agent_id, event):
                            print(printable(entry) + "\n", flush=True)
                if not story.missing(folder):
                    return 0
    say(f"the story stopped after {_DEADLINE:g} s; missing: {', '.join(story.missing(folder))}")
    return 1
