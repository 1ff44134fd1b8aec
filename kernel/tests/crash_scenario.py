"""What the crash harness runs: one project's day, every acknowledgement noted before the next step.

`python crash_scenario.py [TOKEN] DISK NOTES`: the kernel's state is on DISK, which can be lost; NOTES survives
everything and holds `acks` (what the kernel answered) and `journals/<agent id>` (the prompts its CLI received).
While the message that says TOKEN is accepted, the disk only says that it syncs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio
import trio.testing
from fakedriver import FakeDriver, FakeSession, Plugin, echo

from aegis.agent import Agent
from aegis.app import Kernel, open_kernel
from aegis.callers import Caller
from aegis.errors import Refused
from aegis.events import Text, TurnEnded
from aegis.ledger import Record

HUMAN = "human:sam"


def note(path: Path, **what: Any) -> None:
    """Add a line that survives everything."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(what) + "\n")
        file.flush()
        os.fsync(file.fileno())


def noted(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of `note`."""
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


class Journal(FakeDriver):
    """An agent that notes every prompt; `hold` keeps turns open until they are released."""

    def __init__(self, notes: Path) -> None:
        super().__init__("journal", self._take)
        self._notes, self.hold = notes, False
        self.held: list[FakeSession] = []
        self.holding = trio.Event()

    def _take(self, session: FakeSession, prompt: str) -> None:
        note(self._notes / "journals" / session.seat.agent_id, prompt=prompt)
        if self.hold:
            session.say(Text("thinking"))
            self.held.append(session)
            self.holding.set()
        else:
            echo(session, prompt)

    def release(self) -> None:
        """End the turns that are held."""
        self.hold, self.holding = False, trio.Event()
        while self.held:
            self.held.pop().say(TurnEnded("completed"))


class Day:
    """The steps, with what was acknowledged."""

    def __init__(self, kernel: Kernel, notes: Path, forgotten: str) -> None:
        self.kernel, self.acks, self.forgotten, self.sent = kernel, notes / "acks", forgotten, 0
        self.stored = 0
        kernel.ledger.on_commit(self._count)

    def _count(self, records: list[Record]) -> None:
        self.stored += len(records)

    async def rest(self) -> None:
        """Wait until all that was begun is on disk and nobody does anything."""
        stored = -1
        while stored != self.stored:
            stored = self.stored
            await trio.testing.wait_all_tasks_blocked()
            await self.kernel.ledger.append()  # answered once the commit under way is over

    async def spawn(self, handle: str) -> Agent:
        agent = await self.kernel.roster.spawn("journal", handle, Caller("human", "sam"))
        note(self.acks, did="spawn", id=agent.id, handle=handle)
        return agent

    async def say(self, to: Agent, by: Agent | None = None) -> str:
        """Send the next numbered message; an agent's sender is its id, so that it hears of failures."""
        self.sent += 1
        sender, sender_id = (f"agent:{by.handle}", by.id) if by else (HUMAN, HUMAN)
        post = self.kernel.post
        envelope = post.envelope(sender, to.id, f"token-{self.sent}", sender_id=sender_id, hops=1 if by else 0)
        os.environ["CRASHDISK_SKIP"] = "*" if envelope.body == self.forgotten else ""
        receipt = await post.deliver(envelope)
        os.environ["CRASHDISK_SKIP"] = ""
        note(self.acks, did="send", id=receipt.id, to=to.id, token=envelope.body, by=sender_id)
        return receipt.id

    async def try_to_say(self, to: Agent, by: Agent) -> None:
        """Send, unless it is refused."""
        with suppress(Refused):
            await self.say(to, by)

    async def write_home(self, agent: Agent) -> None:
        """Have an agent write to the person."""
        envelope = self.kernel.post.envelope(f"agent:{agent.handle}", HUMAN, f"home-{agent.id}", sender_id=agent.id)
        await self.kernel.post.deliver(envelope)
        note(self.acks, did="write home", id=envelope.id)

    async def read_mail(self) -> None:
        """Have the person read what waits."""
        letters = self.kernel.post.letters(HUMAN)
        await self.kernel.post.read(letters)
        note(self.acks, did="read", ids=[x.envelope.id for x in letters])

    async def close(self, agent: Agent) -> None:
        await self.kernel.roster.close(agent, "its work is done")
        note(self.acks, did="close", id=agent.id)

    async def put_to_sleep(self, agent: Agent) -> None:
        await agent.sleep("night")
        note(self.acks, did="sleep", id=agent.id)

    async def rename(self, agent: Agent, handle: str) -> None:
        was = agent.handle
        await self.kernel.roster.rename(agent, handle)
        note(self.acks, did="rename", id=agent.id, was=was, handle=handle)


async def main(disk: Path, notes: Path, forgotten: str) -> None:
    driver = Journal(notes)
    async with open_kernel(disk, plugins={"journal": Plugin(drivers=[driver])}, environment={}) as kernel:
        day, turn = Day(kernel, notes, forgotten), kernel.post.wait_turn
        ann, bob = await day.spawn("ann"), await day.spawn("bob")
        await turn(await day.say(ann))
        driver.hold = True  # a turn in flight, a batch behind it, and a handoff to the other
        first = await day.say(ann)
        await driver.holding.wait()
        await day.rest()
        last = [await day.say(ann), await day.say(bob, by=ann), await day.say(ann, by=bob)][-1]
        await day.rename(bob, "bob-two")
        driver.release()
        await turn(first)
        await turn(last)
        cat = await day.spawn("cat")
        driver.hold = True  # closed in the middle of a turn, with mail waiting
        await day.say(cat, by=ann)
        await driver.holding.wait()
        await day.say(cat, by=bob)
        driver.hold = False
        await day.close(cat)
        dan = await day.spawn("dan")
        async with trio.open_nursery() as nursery:  # mail that is being stored while its recipient is being closed
            nursery.start_soon(day.try_to_say, dan, bob)
            await trio.lowlevel.checkpoint()
            await day.close(dan)
        await turn(await day.say(bob))
        await day.write_home(ann)
        await day.write_home(bob)
        await day.read_mail()
        await day.put_to_sleep(ann)


if __name__ == "__main__":
    *token, disk, notes = sys.argv[1:]
    trio.run(main, Path(disk), Path(notes), "".join(token))
