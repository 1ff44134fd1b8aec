"""A kernel with agents that play to order, and the console on it: for tests in this process, and in a real terminal.

`python repl_stage.py FOLDER [HANDLE …]` opens a kernel with these agents and attaches the console to it;
`--serve` only serves the control socket until it is told to quit, `--attach` is a console in another process.
"""

from __future__ import annotations

import signal
import sys
from collections import deque
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import trio
import trio.testing

import aegis_cli.plugin
from aegis import Caller, Completes, PermissionRequest, Probe, Profile, hookimpl, open_kernel, verb
from aegis import events as e
from aegis.client import LocalClient
from aegis.project import Project
from aegis_approvals import plugin as approvals
from aegis_cli.socket_client import connected
from aegis_cli.socket_path import socket_of
from aegis_repl.plugin import ReplConsole

ME = Caller("human", "anna")
Handle = Annotated[str, Completes("handle")]


class Actor:
    """A session that does what its prompt's last line says, one word a time."""

    def __init__(self, seat, stage) -> None:
        self.session_id = "s-" + seat.agent_id
        self._seat, self._stage = seat, stage
        self._said: deque[e.Event] = deque()
        self._news, self._stop = trio.Event(), trio.Event()

    def _say(self, *events) -> None:
        self._said.extend(events)
        self._news.set()

    async def send(self, prompt: str) -> None:
        self._stop = trio.Event()
        self._stage.nursery.start_soon(self._play, prompt.splitlines()[-1].split())

    async def _play(self, words: list[str]) -> None:
        what, rest = words[0], words[1:]
        outcome = "completed"
        self._say(e.SessionStarted(self.session_id))
        match what:
            case "hold":
                self._say(e.Text("holding"))
                await self._stop.wait()
                outcome = "cancelled"
            case "flood":
                tail = "x" * int(rest[1]) if rest[1:] else ""
                for n in range(int(rest[0])):
                    self._say(e.Text(f"flood line {n}{tail}\n"))
                    if n % 50 == 0:
                        await trio.lowlevel.checkpoint()
                self._say(e.Text("flood is over"))
            case "drip":  # until it is stopped
                n = 0
                while not self._stop.is_set():
                    self._say(e.Text(f"drip {n}\n"))
                    n += 1
                    await trio.sleep(0.005)
                outcome = "cancelled"
            case "tell":
                kernel = self._stage.kernel
                caller = kernel.roster.caller(kernel.roster.get(self._seat.agent_id))
                self._say(e.ToolCall("t1", "aegis_handoff", title=f"target={rest[0]}"))
                args = {"target": rest[0], "context": " ".join(rest[1:])}
                done = await kernel.verbs.call(caller, "handoff", args)
                self._say(e.ToolResult("t1", str(done)))
            case "ask":
                commands = " ".join(rest).split(",") if rest else ["rm -rf build"]
                async with trio.open_nursery() as nursery:
                    for number, command in enumerate(commands):
                        nursery.start_soon(self._ask, str(number), command)
                        await trio.testing.wait_all_tasks_blocked()
            case _:
                self._say(e.Text("echo: "), e.Text(" ".join(words)))
        usage = e.Usage(input=100, cache_read=900, output=50)
        self._say(e.TurnEnded(outcome, cost_usd=0.031, usage=usage))

    async def _ask(self, number: str, command: str) -> None:
        request = PermissionRequest(number, "Bash", "execute", command, {"command": command})
        done = await self._seat.ask(request)
        self._say(e.Text(f"it was {done.outcome}: {done.reason}\n"))

    async def receive(self):
        await self._news.wait()
        self._news = trio.Event()
        said, self._said = list(self._said), deque()
        return said

    async def interrupt(self) -> None:
        self._stop.set()


class Theatre:
    """The driver `actor`, and the verbs a console needs, as the real plugins name them."""

    name, settings, resumes = "actor", Profile, False

    def __init__(self) -> None:
        self.kernel = self.nursery = None

    @hookimpl
    def aegis_drivers(self):
        return [self]

    @hookimpl
    def aegis_primitives(self, kernel):
        self.kernel = kernel
        return [self]

    @asynccontextmanager
    async def open(self, seat):
        yield Actor(seat, self)

    def probe(self):
        return Probe(True)

    async def run(self) -> None:
        async with trio.open_nursery() as self.nursery:
            await trio.sleep_forever()

    @verb("send")
    async def send(self, caller: Caller, handle: Handle, text: str, wait: bool = False):
        """Say something to an agent."""
        to = self.kernel.roster.find(handle)
        return await self.kernel.post.deliver(
            self.kernel.post.envelope(str(caller), to.id, text, sender_id=caller.agent_id or str(caller))
        )

    @verb("handoff")
    async def handoff(self, caller: Caller, target: Handle, context: str):
        """Send context to a live agent."""
        return await self.send(caller, target, context)

    @verb("spawn", positional=("agent",))
    async def spawn(self, caller: Caller, agent: Annotated[str, Completes("profile")] = "", handle: str = ""):
        """Start an agent of a profile."""
        profile = agent or self.kernel.config.default_agent or "actor"
        made = await self.kernel.roster.spawn(profile, handle or f"new-{len(self.kernel.roster.known())}")
        return {"handle": made.handle, "id": made.id}

    @verb("close", destructive=True)
    async def close(self, caller: Caller, handle: Handle) -> str:
        """End an agent for good."""
        await self.kernel.roster.close(self.kernel.roster.find(handle))
        return f"{handle} is closed"

    @verb("interrupt")
    async def interrupt(self, caller: Caller, handle: Handle) -> str:
        """Stop the turn an agent is in."""
        return "interrupted" if await self.kernel.roster.find(handle).interrupt() else "not in a turn"

    @verb("sessions", read_only=True)
    async def sessions(self, caller: Caller) -> list[dict[str, str]]:
        """List the agents that are alive."""
        return [{"handle": a.handle, "state": a.state} for a in self.kernel.roster]

    @verb("slow")
    async def slow(self, caller: Caller) -> str:
        """Take for ever."""
        await trio.sleep_forever()
        raise AssertionError


@asynccontextmanager
async def staged(folder: Path, *handles: str, **plugins: object):
    """Enter a kernel in which agents of these handles live."""
    async with open_kernel(
        folder, plugins={"theatre": Theatre(), "approvals": approvals, **plugins}, environment={}
    ) as kernel:
        for handle in handles:
            await kernel.roster.spawn("actor", handle)
        yield kernel


async def serve(folder: str, *handles: str) -> int:
    """Be the kernel, with its control socket, until told to end."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with staged(Path(folder), *handles, door=aegis_cli.plugin):
            print("serving", flush=True)
            async for _ in signals:
                return 0
    return 0


async def attach(folder: str) -> int:
    """Sit at a console in a process of its own, which ends when the kernel does."""
    left = 1
    async with (
        connected(str(socket_of(Project(Path(folder).resolve())))) as client,
        trio.open_nursery() as nursery,
    ):

        async def end() -> None:
            await client.ended.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(end)
        left = await ReplConsole().attach(client)
        nursery.cancel_scope.cancel()
    return left


async def main(folder: str, *handles: str) -> int:
    """Be the kernel and sit at its console."""
    async with staged(Path(folder), *handles) as kernel:
        return await ReplConsole().attach(LocalClient(kernel, ME))


if __name__ == "__main__":
    folder, *words = sys.argv[1:]
    play = {"--serve": serve, "--attach": attach}.get(words[0] if words else "", main)
    sys.exit(trio.run(play, folder, *[word for word in words if not word.startswith("--")]))
